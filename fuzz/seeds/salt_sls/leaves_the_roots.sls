include: [..up, 'a/../b', '.', 'web']
a: {file.managed: [{name: /a}, {source: 'salt://../../etc/passwd'}]}
b: {file.managed: [{name: /b}, {source: 'file://etc/passwd'}]}
