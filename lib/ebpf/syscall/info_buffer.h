// SPDX-License-Identifier: BSD-3-Clause
//
// The caller's structure of OBJ_GET_INFO_BY_FD, in and out, by the kernel's rules of size.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {

inline constexpr std::size_t kProgInfoBytes = 232, kMapInfoBytes = 104, kBtfInfoBytes = 32,
                             kLinkInfoBytes = 64;
static_assert(sizeof(bpf_prog_info) <= kProgInfoBytes);
static_assert(sizeof(bpf_map_info) <= kMapInfoBytes);
static_assert(sizeof(bpf_btf_info) <= kBtfInfoBytes);
static_assert(sizeof(bpf_link_info) <= kLinkInfoBytes);

/// attr.info.info_len bytes at attr.info.info.
class InfoBuffer {
  public:
    explicit InfoBuffer(const Call& call)
        : call_(call), user_(call.attr.info.info), user_bytes_(call.attr.info.info_len) {}

    /// Reads what the caller put in; `bytes` is the kernel's size of the structure. 0, -E2BIG when
    /// the caller's is longer and not zero there, -EFAULT.
    template <typename Info>
    int read(Info& info, std::size_t bytes) {
        if (user_bytes_ > static_cast<std::size_t>(getpagesize())) {
            return -E2BIG;
        }
        if (user_bytes_ > bytes) {
            if (const int err = check_zero(user_ + bytes, user_bytes_ - bytes); err != 0) {
                return err;
            }
        }
        bytes_ = std::min<std::size_t>(user_bytes_, bytes);
        return copy_in(&info, user_, std::min(bytes_, sizeof(info)));
    }

    template <typename Info>
    int write(const Info& info) {
        std::array<std::uint8_t, kProgInfoBytes> image{};
        std::memcpy(image.data(), &info, sizeof(info));
        if (const int err = copy_out(user_, image.data(), bytes_); err != 0) {
            return err;
        }
        const auto written = static_cast<std::uint32_t>(bytes_);
        return copy_out(call_.user_attr + offsetof(bpf_attr, info.info_len), &written,
                        sizeof(written));
    }

    /// An array of the structure: `room` is in elements, in: the caller's, out: ours. 0 or -EFAULT.
    template <typename Element>
    static int write_array(std::uint64_t to,
                           std::uint32_t& room,
                           const std::vector<Element>& elements) {
        const std::size_t count = std::min<std::size_t>(room, elements.size());
        room = static_cast<std::uint32_t>(elements.size());
        return copy_out(to, elements.data(), count * sizeof(Element));
    }

  private:
    const Call& call_;
    std::uint64_t user_;
    std::size_t user_bytes_;
    std::size_t bytes_ = 0;
};

template <std::size_t N>
void set_name(char (&field)[N], const std::string& name) {
    name.copy(field, N - 1);
}

/// program_info.cpp
long program_info(const LoadedProgram& loaded, InfoBuffer& buffer);

}  // namespace crema::ebpf::syscall
