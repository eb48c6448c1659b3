module metalk8s/components/pause

go 1.26.0
