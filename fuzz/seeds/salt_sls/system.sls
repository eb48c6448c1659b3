a: {user.present: [{uid: 1000}, {groups: [b, c]}, {shell: /bin/sh}]}
b: group.present
c: {sysctl.present: [{name: net.ipv4.ip_forward}, {value: 1}]}
d: {kmod.present: [{persist: True}]}
e: {mount.mounted: [{device: /dev/sdb}, {fstype: xfs}, {opts: [a, b]}]}
f: {service.dead: [{enable: off}, {onfail: [{user: a}]}, {onchanges: [{id: c}]}]}
g: &g {cmd.run: &l [{name: x}, {creates: /y}, {<<: {cwd: /}}]}
h: {pkg.removed: [{pkgs: [p, {q: 1}]}]}
