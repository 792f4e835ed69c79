// SPDX-License-Identifier: BSD-3-Clause
//
// One control thread at a time on the bpf(2) side of maps (maps/map.h): the commands take this, and
// so does whoever else calls Map::lookup and its like while other processes are served.
#pragma once

#include <mutex>

namespace crema::ebpf::syscall {

[[nodiscard]] std::mutex& element_mutex();

}  // namespace crema::ebpf::syscall
