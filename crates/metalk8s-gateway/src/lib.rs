//! HTTP and TCP: package repositories, OCI registry, local balancer of the API servers.
