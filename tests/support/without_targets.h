// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of rooms below lib/redirect: while this object lives, devmap and cpumap slots keep any
// ifindex or CPU and get no target, though the whole of libcrema is loaded and lib/redirect has
// installed its hooks.
#pragma once

#include "lib/ebpf/maps/target_hooks.h"

namespace crema::test {

class WithoutTargets {
  public:
    WithoutTargets() { ebpf::maps::set_target_hooks({}); }

    ~WithoutTargets() { ebpf::maps::set_target_hooks(before_); }

    WithoutTargets(const WithoutTargets&) = delete;
    WithoutTargets& operator=(const WithoutTargets&) = delete;

  private:
    ebpf::maps::TargetHooks before_ = ebpf::maps::target_hooks();
};

}  // namespace crema::test
