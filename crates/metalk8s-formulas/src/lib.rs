//! which states make a bootstrap, etcd, master, infra or plain node; addons and their settings.
