// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/remote_port.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "apps/crema/data_path.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/netlink/message.h"
#include "lib/ebpf/supervise/private_commands.h"

namespace crema::command {
namespace {

using ebpf::supervise::NetlinkAttr;
using ebpf::supervise::PrivateCommand;

std::string program_name(std::uint32_t id) {
    bpf_attr attr{};
    attr.prog_id = id;
    const UniqueFd fd(static_cast<int>(call(BPF_PROG_GET_FD_BY_ID, attr)));
    const auto info = info_of<bpf_prog_info>(fd.get());
    return info ? text_of(info->name) : std::string();
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
        const auto id =
            xdp[IFLA_XDP_PROG_ID] ? read_as<std::uint32_t>(*xdp[IFLA_XDP_PROG_ID]) : std::nullopt;
        port.program_id = id.value_or(0);
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
        port.program = port.program_id != 0 ? program_name(port.program_id) : "";
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

Status set_program(const RemotePort& port, int program, std::uint32_t flags) {
    ebpf::netlink::Writer writer;
    writer.begin(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1);
    ifinfomsg link{};
    link.ifi_index = static_cast<int>(port.ifindex);
    writer.add(link);
    const std::size_t nest = writer.open(IFLA_XDP);
    writer.number<std::int32_t>(IFLA_XDP_FD, program);
    writer.number(IFLA_XDP_FLAGS, flags);
    writer.close(nest);
    const auto reply = ask(writer.take());
    if (!reply) {
        return forward_error(reply);
    }
    const ebpf::netlink::Bytes bytes = *reply;
    const auto header = ebpf::netlink::read_as<nlmsghdr>(bytes);
    const auto ack = header && header->nlmsg_type == NLMSG_ERROR
                         ? ebpf::netlink::read_as<nlmsgerr>(bytes.subspan(sizeof(nlmsghdr)))
                         : std::nullopt;
    if (!ack) {
        return fail(ENODEV, "{}: the port is gone", port.name);
    }
    if (ack->error == 0) {
        return {};
    }
    const ebpf::netlink::Attributes<NLMSGERR_ATTR_MAX + 1> words(
        bytes.subspan(sizeof(nlmsghdr) + sizeof(nlmsgerr)));
    const std::string why = text_in(words[NLMSGERR_ATTR_MSG]);
    return fail(-ack->error, "{}: {}", port.name, why.empty() ? std::strerror(-ack->error) : why);
}

}  // namespace crema::command
