// One program for all of Kubernetes but kube-proxy: it runs the part whose name it was called by.
// The parts share nearly all of their code, so one file is far smaller than five.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata" // time zones of CronJobs, on hosts and images without a zone database

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl: logins named in a kubeconfig
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of API requests
	_ "k8s.io/component-base/metrics/prometheus/version"  // metric of our own version
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = []struct {
	name string
	run  func() int
}{
	{"kube-apiserver", daemon(apiserver.NewAPIServerCommand)},
	{"kube-controller-manager", daemon(controllermanager.NewControllerManagerCommand)},
	{"kube-scheduler", daemon(func() *cobra.Command { return scheduler.NewSchedulerCommand() })},
	{"kubectl", runKubectl},
	{"kubelet", daemon(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) })},
}

func main() {
	if run := find(os.Args[0]); run != nil {
		os.Exit(run())
	}
	if len(os.Args) > 1 {
		if run := find(os.Args[1]); run != nil {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	fmt.Fprintf(os.Stderr, "error: `%s` is not the name of a Kubernetes program\n", filepath.Base(os.Args[0]))
	fmt.Fprintln(os.Stderr, "hint: call this file by one of these names, or give the name as first argument:")
	for _, program := range programs {
		fmt.Fprintf(os.Stderr, "  %s\n", program.name)
	}
	os.Exit(2)
}

func find(path string) func() int {
	name := filepath.Base(path)
	for _, program := range programs {
		if program.name == name {
			return program.run
		}
	}
	return nil
}

// The commands are made only when chosen: making one sets global flags and feature gates.
func daemon(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

// The same steps as upstream's own main: kubectl prints errors itself, and wants its log
// level set before its commands are made.
func runKubectl() int {
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return 0
}
