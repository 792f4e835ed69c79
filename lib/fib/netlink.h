// SPDX-License-Identifier: BSD-3-Clause
//
// The part of rtnetlink that the mirror needs: dumps, notifications, attributes. Messages come from
// the kernel, and are checked all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::fib {

using Bytes = std::span<const std::uint8_t>;

/// One message: type and what follows its header.
struct Message {
    std::uint16_t type;
    Bytes payload;
};

/// A socket that receives notifications of `groups` (RTNLGRP_*); none for dumps.
[[nodiscard]] Result<UniqueFd> open_netlink(std::span<const std::uint32_t> groups);

/// All objects that `request` (RTM_GETROUTE...) lists, of all address families.
[[nodiscard]] Status dump(int fd,
                          std::uint16_t request,
                          const std::function<void(const Message&)>& take);

/// The fixed part at the start of a message; all zero when it is too short.
template <typename Header>
[[nodiscard]] Header header_of(const Message& message) {
    Header header{};
    if (message.payload.size() >= sizeof header) {
        std::memcpy(&header, message.payload.data(), sizeof header);
    }
    return header;
}

/// Calls take(type, value) for each attribute in `bytes`.
void for_each_attribute(Bytes bytes, const std::function<void(std::uint16_t, Bytes)>& take);

/// Attributes behind the fixed part.
template <typename Header>
[[nodiscard]] Bytes attributes_of(const Message& message) {
    const std::size_t offset = NLMSG_ALIGN(sizeof(Header));
    return message.payload.size() > offset ? message.payload.subspan(offset) : Bytes{};
}

/// A number at the start of an attribute; 0 when it is too short.
template <typename Number>
[[nodiscard]] Number number_in(Bytes value) {
    Number number{};
    if (value.size() >= sizeof number) {
        std::memcpy(&number, value.data(), sizeof number);
    }
    return number;
}

}  // namespace crema::fib
