// SPDX-License-Identifier: BSD-3-Clause
//
// Programs and maps that keep each other and that nothing else keeps: a program in a slot of a
// devmap or cpumap that uses that map, directly or by way of others. (The kernel never finds them;
// whoever may load programs could fill this process's memory so.)
//
// A program or map is kept from outside when it has more references than slots, values and programs
// explain. What is not reachable from such a one is in a circle, or hangs on one, and its slots are
// emptied. A reference of unknown kind counts as outside: nothing goes too early. Threads: any.
#pragma once

namespace crema::ebpf::syscall::circles {

/// Ends them. Cheap where no slot holds a program. Not from under element_mutex(). Without memory
/// to look, nothing happens this time.
void collect() noexcept;

}  // namespace crema::ebpf::syscall::circles
