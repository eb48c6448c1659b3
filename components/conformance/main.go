// The conformance tests of Kubernetes, as one program. It takes the flags that upstream's e2e.test takes, so that
// ginkgo can run several of it beside each other.
//
// Upstream builds its program with `go test`, around a TestMain that is in no package one can import. This does what
// that does for the tests: it registers the flags, says where the manifests are found, and hands over.
package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.yaml.in/yaml/v2"
	"k8s.io/component-base/version"
	conformance "k8s.io/kubernetes/test/conformance/testdata"
	"k8s.io/kubernetes/test/e2e"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	manifests "k8s.io/kubernetes/test/e2e/testing-manifests"
	fixtures "k8s.io/kubernetes/test/fixtures"

	// The labels of features, which tests name.
	_ "k8s.io/kubernetes/test/e2e/feature"

	// All packages with a conformance test. Clouds, autoscaling, the life cycle of clusters and Windows have none.
	_ "k8s.io/kubernetes/test/e2e/apimachinery"
	_ "k8s.io/kubernetes/test/e2e/apps"
	_ "k8s.io/kubernetes/test/e2e/architecture"
	_ "k8s.io/kubernetes/test/e2e/auth"
	_ "k8s.io/kubernetes/test/e2e/common"
	_ "k8s.io/kubernetes/test/e2e/dra"
	_ "k8s.io/kubernetes/test/e2e/instrumentation"
	_ "k8s.io/kubernetes/test/e2e/kubectl"
	_ "k8s.io/kubernetes/test/e2e/network"
	_ "k8s.io/kubernetes/test/e2e/node"
	_ "k8s.io/kubernetes/test/e2e/scheduling"
	_ "k8s.io/kubernetes/test/e2e/storage"

	// What the framework does with a failure: it prints objects and events, in a form that people read.
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/framework/metrics/init"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
	_ "k8s.io/kubernetes/test/utils/format"
)

func main() {
	// The flags of `testing` are there only once this was called; ginkgo gives some of them.
	testing.Init()
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	versionWanted := flag.Bool("version", false, "print the version and stop")
	testsWanted := flag.Bool("list-conformance-tests", false, "print the names of the conformance tests and stop")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "nobody knows the arguments %q\n", flag.Args())
		os.Exit(2)
	}

	testfiles.AddFileSource(manifests.GetE2ETestingManifestsFS())
	testfiles.AddFileSource(fixtures.GetTestFixturesFS())
	testfiles.AddFileSource(conformance.GetConformanceTestdataFS())
	switch {
	case *versionWanted:
		fmt.Println(version.Get())
		return
	case *testsWanted:
		if err := list(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}

	framework.AfterReadingAllFlags(&framework.TestContext)
	matches := func(string, string) (bool, error) { return true, nil }
	testing.Main(matches, []testing.InternalTest{{Name: "TestE2E", F: e2e.RunE2ETests}}, nil, nil)
}

// list prints the names of all conformance tests, one on a line.
func list() error {
	text, err := testfiles.Read("test/conformance/testdata/conformance.yaml")
	if err != nil {
		return err
	}
	var tests []struct{ Codename string }
	if err := yaml.Unmarshal(text, &tests); err != nil {
		return err
	}
	for _, test := range tests {
		fmt.Println(test.Codename)
	}
	return nil
}
