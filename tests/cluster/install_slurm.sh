#!/usr/bin/env bash
# Debian's Slurm, for the tests of sweeps in jobs: they start its daemons themselves, as tests/helpers/slurm_host.py says.
set -euo pipefail
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
  as_root=$([ "$(id -u)" = 0 ] || echo sudo)
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi
