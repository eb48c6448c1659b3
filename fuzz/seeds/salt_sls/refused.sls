#!py|yaml
a: {{ pillar }}
b: !!python/object:os.system x
