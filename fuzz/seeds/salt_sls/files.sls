/etc/motd:
  file.managed: [{source: [salt://nothing, 'salt://motd']}, {mode: 0644}, {user: root}, {makedirs: true}]
/srv: {file.directory: [{dir_mode: '0755'}]}
/l: {file: [symlink, {target: /x}, {force: yes}]}
gone: {file.absent: [{name: /gone}, {prereq_in: [{file: /srv}]}]}
