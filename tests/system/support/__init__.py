# SPDX-License-Identifier: BSD-3-Clause
"""What system tests share: see hosts.py (network namespaces) and processes.py (programs under test)."""
