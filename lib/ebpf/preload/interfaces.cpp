// SPDX-License-Identifier: BSD-3-Clause
//
// Names and numbers of interfaces where libc asks the kernel by itself: if_nametoindex and its
// like, and the two ioctl requests behind them (those of perf events go to events.cpp). Ports come
// first; where none has the name or the number the machine's interfaces are asked as ever.
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lib/ebpf/preload/known_events.h"
#include "lib/ebpf/preload/netlink.h"
#include "lib/ebpf/preload/supervised.h"

namespace crema::preload {
namespace {

using ebpf::supervise::kNetlinkBytesMax;
using ebpf::supervise::NetlinkHandling;

/// RTM_GETLINK by number, or by name when there is one.
struct Query {
    nlmsghdr header;
    ifinfomsg link;
    nlattr name_header;
    char name[256];  // a name and the zero behind it
};

static_assert(sizeof(Query) == sizeof(nlmsghdr) + sizeof(ifinfomsg) + sizeof(nlattr) + 256);

/// The name in an RTM_NEWLINK message; our own, so it is as it should be. Null: none.
const char* name_in(const std::uint8_t* message, std::size_t bytes) {
    std::size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(ifinfomsg));
    while (at + sizeof(nlattr) <= bytes) {
        nlattr header;
        std::memcpy(&header, message + at, sizeof header);
        if (header.nla_type == IFLA_IFNAME) {
            return reinterpret_cast<const char*>(message + at + sizeof header);
        }
        if (header.nla_len < sizeof header) {
            return nullptr;
        }
        at += NLA_ALIGN(header.nla_len);
    }
    return nullptr;
}

unsigned number_in(const std::uint8_t* message) {
    ifinfomsg link;
    std::memcpy(&link, message + NLMSG_HDRLEN, sizeof link);
    return static_cast<unsigned>(link.ifi_index);
}

/// Fills `reply` with the RTM_NEWLINK of the port. False: no port.
bool find_port(unsigned number, const char* name, std::uint8_t* reply, std::uint32_t& bytes) {
    Query query{};
    query.header.nlmsg_type = RTM_GETLINK;
    query.header.nlmsg_flags = NLM_F_REQUEST;
    query.link.ifi_index = static_cast<int>(number);
    query.header.nlmsg_len = NLMSG_HDRLEN + sizeof query.link;
    if (name != nullptr) {
        const std::size_t length = std::strlen(name);
        if (length == 0 || length >= sizeof query.name) {
            return false;
        }
        std::memcpy(query.name, name, length);
        query.name_header.nla_type = IFLA_IFNAME;
        query.name_header.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + length + 1);
        query.header.nlmsg_len += query.name_header.nla_len;
    }
    return ask_netlink(&query, query.header.nlmsg_len, -1, reply, bytes) ==
           NetlinkHandling::instead;
}

/// 0: no port has that name.
unsigned port_number(const char* name) {
    std::uint8_t reply[kNetlinkBytesMax];
    std::uint32_t bytes = sizeof reply;
    const int saved = errno;
    const bool found = name != nullptr && find_port(0, name, reply, bytes);
    errno = saved;
    return found ? number_in(reply) : 0;
}

/// False: no port has that number. `name` has room for IF_NAMESIZE.
bool port_name(unsigned number, char* name) {
    std::uint8_t reply[kNetlinkBytesMax];
    std::uint32_t bytes = sizeof reply;
    const int saved = errno;
    const bool found = number != 0 && find_port(number, nullptr, reply, bytes);
    errno = saved;
    const char* const shown = found ? name_in(reply, bytes) : nullptr;
    if (shown != nullptr) {
        std::strncpy(name, shown, IF_NAMESIZE);
    }
    return shown != nullptr;
}

std::size_t count_of(const struct if_nameindex* all) {
    std::size_t count = 0;
    while (all[count].if_index != 0) {
        ++count;
    }
    return count;
}

/// `all`, from libc, with the ports in front; they are freed alike.
struct if_nameindex* with_ports(struct if_nameindex* all) {
    nlmsghdr query{};
    query.nlmsg_len = sizeof query;
    query.nlmsg_type = RTM_GETLINK;
    query.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    std::uint8_t reply[kNetlinkBytesMax];
    std::uint32_t bytes = sizeof reply;
    if (ask_netlink(&query, sizeof query, -1, reply, bytes) != NetlinkHandling::before_dump) {
        return all;
    }
    for (std::size_t at = 0; at + NLMSG_HDRLEN <= bytes;) {
        nlmsghdr header;
        std::memcpy(&header, reply + at, sizeof header);
        const char* const name = name_in(reply + at, header.nlmsg_len);
        const std::size_t count = count_of(all);
        void* const more =
            std::realloc(static_cast<void*>(all), (count + 2) * sizeof(struct if_nameindex));
        char* const copy = name != nullptr ? ::strdup(name) : nullptr;
        if (more == nullptr || copy == nullptr) {
            std::free(copy);
            return more != nullptr ? static_cast<struct if_nameindex*>(more) : all;
        }
        all = static_cast<struct if_nameindex*>(more);
        std::memmove(all + 1, all, (count + 1) * sizeof(struct if_nameindex));
        all[0] = {.if_index = number_in(reply + at), .if_name = copy};
        at += NLMSG_ALIGN(header.nlmsg_len);
    }
    return all;
}

/// True: a request about a port, done.
bool interface_request(unsigned long request, void* argument) {
    auto* const asked = static_cast<ifreq*>(argument);
    if (asked == nullptr) {
        return false;
    }
    if (request == SIOCGIFINDEX) {
        char name[IFNAMSIZ + 1] = {};
        std::memcpy(name, asked->ifr_name, IFNAMSIZ);
        const unsigned number = port_number(name);
        if (number != 0) {
            asked->ifr_ifindex = static_cast<int>(number);
        }
        return number != 0;
    }
    return request == SIOCGIFNAME &&
           port_name(static_cast<unsigned>(asked->ifr_ifindex), asked->ifr_name);
}

}  // namespace
}  // namespace crema::preload

extern "C" {

[[gnu::visibility("default")]] unsigned int if_nametoindex(const char* name) {
    const unsigned number = crema::preload::port_number(name);
    return number != 0 ? number
                       : reinterpret_cast<unsigned (*)(const char*)>(
                             crema::preload::next_definition("if_nametoindex"))(name);
}

[[gnu::visibility("default")]] char* if_indextoname(unsigned int number, char* name) {
    return crema::preload::port_name(number, name)
               ? name
               : reinterpret_cast<char* (*)(unsigned, char*)>(
                     crema::preload::next_definition("if_indextoname"))(number, name);
}

[[gnu::visibility("default")]] struct if_nameindex* if_nameindex(void) {
    auto* const all = reinterpret_cast<struct if_nameindex* (*)()>(
        crema::preload::next_definition("if_nameindex"))();
    return all != nullptr ? crema::preload::with_ports(all) : nullptr;
}

[[gnu::visibility("default")]] int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void* const argument = va_arg(rest, void*);
    va_end(rest);
    if (crema::preload::is_event_request(fd, request)) {
        return crema::preload::event_request(fd, request, argument);
    }
    const bool is_ours = (request == SIOCGIFINDEX || request == SIOCGIFNAME) &&
                         crema::preload::interface_request(request, argument);
    return is_ours ? 0 : static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}
}
