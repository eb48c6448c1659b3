include: [other]
nginx:
  pkg.installed: [{version: 1.10}]
  service.running:
    - enable: True
    - watch: [{file: conf}]
conf:
  file.managed:
    - names: [/a, {/b: [{mode: '0600'}]}]
    - contents: |
        text
    - require: [{sls: other}, {pkg: nginx}, y]
x: &anchor
  cmd.run: {unless: [a, b], env: [{A: b}]}
