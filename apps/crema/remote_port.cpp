// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/remote_port.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "apps/crema/data_path.h"
#include "apps/crema/output.h"
#include "lib/ebpf/netlink/message.h"
#include "lib/ebpf/supervise/port_programs.h"
#include "lib/ebpf/supervise/private_commands.h"

namespace crema::command {
namespace {

using ebpf::supervise::NetlinkAttr;
using ebpf::supervise::PortProgram;
using ebpf::supervise::PortProgramsAttr;
using ebpf::supervise::PrivateCommand;

Status read_programs(RemotePort& port) {
    std::array<PortProgram, ebpf::supervise::kPortProgramsMax> room;
    PortProgramsAttr attr;
    attr.what = PortProgramsAttr::list;
    attr.ifindex = port.ifindex;
    attr.programs = address(room.data());
    attr.programs_n = static_cast<std::uint32_t>(room.size());
    const long n = call(static_cast<int>(PrivateCommand::port_programs), attr);
    if (n < 0) {
        return refused(port.name, n);
    }
    for (const PortProgram& one : std::span(room).first(static_cast<std::size_t>(n))) {
        port.programs.push_back({.id = one.id,
                                 .name = text_of(one.name),
                                 .tag = hex(one.tag),
                                 .priority = one.priority,
                                 .actions = one.actions});
    }
    return {};
}

/// Messages that answer an rtnetlink request of one message.
Result<Bytes> ask(const Bytes& request) {
    Bytes reply(ebpf::supervise::kNetlinkBytesMax);
    NetlinkAttr attr{};
    attr.request = address(request.data());
    attr.request_bytes = static_cast<std::uint32_t>(request.size());
    attr.reply = address(reply.data());
    attr.reply_room = static_cast<std::uint32_t>(reply.size());
    attr.capped = 1;
    attr.extended = 1;
    const long result = call(static_cast<int>(PrivateCommand::netlink), attr);
    if (result < 0) {
        return refused("the data path's ports", result);
    }
    reply.resize(std::min<std::size_t>(reply.size(), attr.reply_bytes));
    return reply;
}

std::string text_in(const std::optional<ebpf::netlink::Bytes>& payload) {
    return payload ? std::string(payload->begin(), std::find(payload->begin(), payload->end(), 0))
                   : std::string();
}

RemotePort read_port(ebpf::netlink::Bytes body) {
    using ebpf::netlink::Attributes, ebpf::netlink::read_as;
    RemotePort port;
    const auto link = read_as<ifinfomsg>(body);
    if (!link) {
        return port;
    }
    port.ifindex = static_cast<std::uint32_t>(link->ifi_index);
    const Attributes<IFLA_MAX + 1> all(body.subspan(sizeof(ifinfomsg)));
    port.name = text_in(all[IFLA_IFNAME]);
    if (all.has(IFLA_PROP_LIST)) {
        port.alias = text_in(Attributes<IFLA_MAX + 1>(*all[IFLA_PROP_LIST])[IFLA_ALT_IFNAME]);
    }
    if (all.has(IFLA_XDP)) {
        const Attributes<IFLA_XDP_MAX + 1> xdp(*all[IFLA_XDP]);
        port.mode = xdp.has(IFLA_XDP_DRV_PROG_ID)   ? "driver"
                    : xdp.has(IFLA_XDP_SKB_PROG_ID) ? "generic"
                                                    : "";
    }
    return port;
}

}  // namespace

Result<std::vector<RemotePort>> ports() {
    ebpf::netlink::Writer writer;
    writer.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1);
    writer.add(ifinfomsg{});
    const auto reply = ask(writer.take());
    if (!reply) {
        return forward_error(reply);
    }
    std::vector<RemotePort> all;
    ebpf::netlink::Bytes rest = *reply;
    while (const auto header = ebpf::netlink::read_as<nlmsghdr>(rest)) {
        if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > rest.size()) {
            break;
        }
        all.push_back(
            read_port(rest.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr))));
        rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header->nlmsg_len), rest.size()));
    }
    for (RemotePort& port : all) {
        if (const Status read = read_programs(port); !read) {
            return forward_error(read);
        }
    }
    return all;
}

Result<RemotePort> find_port(const std::string& which) {
    const auto all = ports();
    if (!all) {
        return forward_error(all);
    }
    std::string names;
    for (const RemotePort& port : *all) {
        if (which == port.name || which == port.alias || which == std::to_string(port.ifindex)) {
            return port;
        }
        names += (names.empty() ? "" : ", ") + port.name;
    }
    return fail(ENOENT, "no port is called {}: there is {}", which, names.empty() ? "none" : names);
}

Status change_programs(const RemotePort& port, const ProgramsChange& change) {
    std::vector<PortProgram> programs;
    for (const Joining& each : change.join) {
        PortProgram one;
        one.fd = each.fd;
        one.given = (each.priority ? ebpf::supervise::kPriorityGiven : 0) |
                    (each.actions ? ebpf::supervise::kActionsGiven : 0);
        one.priority = each.priority.value_or(0);
        one.actions = each.actions.value_or(0);
        programs.push_back(one);
    }
    std::array<char, 1024> words{};
    PortProgramsAttr attr;
    attr.what = PortProgramsAttr::change;
    attr.ifindex = port.ifindex;
    attr.programs = address(programs.data());
    attr.programs_n = static_cast<std::uint32_t>(programs.size());
    attr.leave = address(change.leave.data());
    attr.leave_n = static_cast<std::uint32_t>(change.leave.size());
    attr.all_leave = change.all_leave ? 1 : 0;
    attr.flags = change.flags;
    attr.words = address(words.data());
    attr.words_bytes = static_cast<std::uint32_t>(words.size());
    const long result = call(static_cast<int>(PrivateCommand::port_programs), attr);
    if (result >= 0) {
        return {};
    }
    const int code = static_cast<int>(-result);
    return fail(code, "{}: {}", port.name, words[0] != 0 ? words.data() : std::strerror(code));
}

}  // namespace crema::command
