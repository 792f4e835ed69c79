// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/netlink/message.h"

namespace crema::ebpf::netlink {

void Writer::append(const void* bytes, std::size_t count) {
    const auto* from = static_cast<const std::uint8_t*>(bytes);
    bytes_.insert(bytes_.end(), from, from + count);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    const auto length = static_cast<std::uint32_t>(bytes_.size() - start_);
    std::memcpy(bytes_.data() + start_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void Writer::begin(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence) {
    start_ = bytes_.size();
    bytes_.resize(start_ + sizeof(nlmsghdr));
    const nlmsghdr header = {.nlmsg_len = sizeof header,
                             .nlmsg_type = type,
                             .nlmsg_flags = flags,
                             .nlmsg_seq = sequence,
                             .nlmsg_pid = 0};
    std::memcpy(bytes_.data() + start_, &header, sizeof header);
}

void Writer::attribute(std::uint16_t type, Bytes payload) {
    add(nlattr{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()),
               .nla_type = type});
    append(payload.data(), payload.size());
}

void Writer::text(std::uint16_t type, std::string_view text) {
    std::vector<std::uint8_t> ended(text.begin(), text.end());
    ended.push_back(0);
    attribute(type, ended);
}

std::size_t Writer::open(std::uint16_t type) {
    const std::size_t opened = bytes_.size();
    add(nlattr{.nla_len = 0, .nla_type = static_cast<std::uint16_t>(type | NLA_F_NESTED)});
    return opened;
}

void Writer::close(std::size_t opened) {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - opened);
    std::memcpy(bytes_.data() + opened, &length, sizeof length);
}

}  // namespace crema::ebpf::netlink
