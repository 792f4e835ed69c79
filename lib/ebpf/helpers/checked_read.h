// SPDX-License-Identifier: BSD-3-Clause
//
// Reading through addresses that a program made up. In the kernel such a read either works or
// faults safely; here it works in what belongs to programs: the buffer of the frame at hand, the
// stack of the running program, storage of maps. Everything else is as an address that faults.
#pragma once

#include <cstddef>
#include <cstdint>

namespace crema::ebpf::helpers {

/// Copies exactly `bytes` bytes. 0 or a negative errno: -ERANGE for addresses that a kernel has for
/// user space or not at all, -EFAULT for others. On error `to` may hold some bytes.
[[nodiscard]] std::int64_t checked_read(void* to, std::uint64_t address, std::size_t bytes);

/// Copies a string: up to its NUL, or bytes - 1 characters and a NUL. Returns the bytes written
/// (0 when `bytes` is 0) or an error as above.
[[nodiscard]] std::int64_t checked_read_string(char* to, std::uint64_t address, std::size_t bytes);

}  // namespace crema::ebpf::helpers
