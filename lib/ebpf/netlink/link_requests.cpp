// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/netlink/link_requests.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <net/if.h>
#include <string>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "lib/ebpf/netlink/link_message.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/ports.h"

namespace crema::ebpf::netlink {
namespace {

using syscall::PortInfo;
using LinkAttributes = Attributes<IFLA_MAX + 1>;
using XdpAttributes = Attributes<IFLA_XDP_MAX + 1>;

struct Request {
    Bytes bytes;  // the message, without what lies behind it
    nlmsghdr header;
    ifinfomsg link;
    LinkAttributes attributes;
};

std::optional<Request> read_request(Bytes bytes) {
    const auto header = read_as<nlmsghdr>(bytes);
    if (!header || header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > bytes.size() ||
        (header->nlmsg_flags & NLM_F_REQUEST) == 0) {
        return std::nullopt;
    }
    bytes = bytes.first(header->nlmsg_len);
    const Bytes body = bytes.subspan(sizeof(nlmsghdr));
    const auto link = read_as<ifinfomsg>(body);
    if (!link) {
        // Lists may be asked for by the family alone.
        ifinfomsg short_link{};
        short_link.ifi_family = body.empty() ? std::uint8_t{AF_UNSPEC} : body[0];
        return Request{bytes, *header, short_link, LinkAttributes({})};
    }
    return Request{bytes, *header, *link, LinkAttributes(body.subspan(sizeof(ifinfomsg)))};
}

std::string text_of(const std::optional<Bytes>& payload) {
    return payload ? std::string(payload->begin(), std::find(payload->begin(), payload->end(), 0))
                   : std::string();
}

std::string name_asked(const LinkAttributes& attributes) {
    const std::string name = text_of(attributes[IFLA_IFNAME]);
    return !name.empty() ? name : text_of(attributes[IFLA_ALT_IFNAME]);
}

/// The port that a request means by number, or by name when it has none. Null: none.
const PortInfo* find_port(const std::vector<PortInfo>& ports, const Request& request) {
    const std::string name =
        request.link.ifi_index == 0 ? name_asked(request.attributes) : std::string();
    const auto found = std::find_if(ports.begin(), ports.end(), [&](const PortInfo& port) {
        return request.link.ifi_index != 0
                   ? port.ifindex == static_cast<std::uint32_t>(request.link.ifi_index)
                   : !name.empty() && (port.name == name || port.alias == name);
    });
    return found != ports.end() ? &*found : nullptr;
}

/// A request to change a link: refusal of attributes, as far as the kernel would refuse them.
Status check_xdp(const XdpAttributes& xdp) {
    for (const std::size_t word : {IFLA_XDP_FD, IFLA_XDP_FLAGS, IFLA_XDP_PROG_ID}) {
        if (xdp.has(word) && xdp[word]->size() < sizeof(std::uint32_t)) {
            return fail(ERANGE, "");
        }
    }
    if (xdp.has(IFLA_XDP_ATTACHED) && xdp[IFLA_XDP_ATTACHED]->empty()) {
        return fail(ERANGE, "");
    }
    if (xdp.has(IFLA_XDP_EXPECTED_FD) &&
        xdp[IFLA_XDP_EXPECTED_FD]->size() != sizeof(std::int32_t)) {
        return fail(EINVAL, "");
    }
    if (xdp.has(IFLA_XDP_ATTACHED) || xdp.has(IFLA_XDP_PROG_ID)) {
        return fail(EINVAL, "");
    }
    return {};
}

std::int32_t number_in(const std::optional<Bytes>& payload, std::int32_t otherwise) {
    return payload ? read_as<std::int32_t>(*payload).value_or(otherwise) : otherwise;
}

/// A negative descriptor is no program.
Result<std::shared_ptr<const LoadedProgram>> program_of(std::int32_t fd) {
    if (fd < 0) {
        return std::shared_ptr<const LoadedProgram>();
    }
    int error = 0;
    const auto object = syscall::object_store::find_as<syscall::ProgramObject>(fd, &error);
    if (object == nullptr) {
        return fail(-error, "");
    }
    if (object->program->extension != nullptr) {
        return fail(EINVAL, "");
    }
    return object->program;
}

Status change_program(const PortInfo& port, Bytes nested) {
    if (!nested.empty() && nested.size() < sizeof(nlattr)) {
        return fail(ERANGE, "Attribute failed policy validation");
    }
    const XdpAttributes xdp(nested);
    if (Status valid = check_xdp(xdp); !valid) {
        return valid;
    }
    syscall::PortChange change;
    change.flags = static_cast<std::uint32_t>(number_in(xdp[IFLA_XDP_FLAGS], 0));
    if ((change.flags & ~syscall::kXdpFlags) != 0 ||
        std::popcount(change.flags & syscall::kModeFlags) > 1) {
        return fail(EINVAL, "");
    }
    if (!xdp.has(IFLA_XDP_FD)) {
        return {};
    }
    const bool replaces = (change.flags & syscall::kReplace) != 0;
    if (replaces && !xdp.has(IFLA_XDP_EXPECTED_FD)) {
        return fail(EINVAL, "");
    }
    const auto program = program_of(number_in(xdp[IFLA_XDP_FD], -1));
    if (!program) {
        return forward_error(program);
    }
    if (replaces) {
        const auto expected = program_of(number_in(xdp[IFLA_XDP_EXPECTED_FD], -1));
        if (!expected) {
            return forward_error(expected);
        }
        change.expected = *expected;
    }
    change.program = *program;
    return syscall::port_hooks().change(port.ifindex, change);
}

Status change_link(const PortInfo& port, const Request& request) {
    const bool renames = request.link.ifi_index != 0 && request.attributes.has(IFLA_IFNAME) &&
                         text_of(request.attributes[IFLA_IFNAME]) != port.name;
    const std::uint32_t now = port.is_up ? IFF_UP : 0;
    const bool moves = (request.link.ifi_change & (request.link.ifi_flags ^ now) & IFF_UP) != 0;
    constexpr auto kExclusive = NLM_F_CREATE | NLM_F_EXCL;
    if (request.header.nlmsg_type == RTM_NEWLINK &&
        (request.header.nlmsg_flags & kExclusive) == kExclusive) {
        return fail(EEXIST, "");
    }
    if (renames || moves ||
        request.attributes.has_any_but({IFLA_IFNAME, IFLA_ALT_IFNAME, IFLA_EXT_MASK, IFLA_XDP})) {
        return fail(EOPNOTSUPP, "a port of a data path takes an XDP program, and nothing else");
    }
    return request.attributes.has(IFLA_XDP) ? change_program(port, *request.attributes[IFLA_XDP])
                                            : Status{};
}

/// NLMSG_ERROR, which with code 0 says that all went well.
void write_ack(Writer& writer, const Request& request, const Status& status, AckOptions options) {
    const bool whole = !status && !options.capped;
    const std::string words = status ? std::string() : status.error().message;
    const bool says_why = options.extended && !words.empty();
    std::uint16_t flags = whole ? 0 : NLM_F_CAPPED;
    flags = static_cast<std::uint16_t>(flags | (says_why ? NLM_F_ACK_TLVS : 0));
    writer.begin(NLMSG_ERROR, flags, request.header.nlmsg_seq);
    writer.add(std::int32_t{status ? 0 : -status.error().code});
    writer.add(request.header);
    if (whole) {
        writer.add_bytes(request.bytes.subspan(sizeof(nlmsghdr)));
    }
    if (says_why) {
        writer.text(NLMSGERR_ATTR_MSG, words);
    }
}

bool wants_ack(const Request& request) {
    return (request.header.nlmsg_flags & NLM_F_ACK) != 0;
}

Answer answer_change(const std::vector<PortInfo>& ports,
                     const Request& request,
                     AckOptions options) {
    const PortInfo* const port = find_port(ports, request);
    if (port == nullptr) {
        return {};
    }
    const Status done = change_link(*port, request);
    Writer writer;
    if (!done || wants_ack(request)) {
        write_ack(writer, request, done, options);
    }
    return {.handling = Handling::instead, .messages = writer.take()};
}

Answer answer_query(const std::vector<PortInfo>& ports,
                    const Request& request,
                    AckOptions options) {
    const PortInfo* const port = find_port(ports, request);
    if (port == nullptr) {
        return {};
    }
    Writer writer;
    write_link(writer, *port, 0, request.header.nlmsg_seq);
    if (wants_ack(request)) {
        write_ack(writer, request, {}, options);
    }
    return {.handling = Handling::instead, .messages = writer.take()};
}

/// Lists of one kind of link, or of the links below another, have no port in them.
Answer answer_dump(const std::vector<PortInfo>& ports, const Request& request) {
    const bool is_for_all =
        request.link.ifi_family == AF_UNSPEC || request.link.ifi_family == AF_PACKET;
    if (!is_for_all || request.attributes.has_any_but({IFLA_EXT_MASK})) {
        return {};
    }
    Writer writer;
    for (const PortInfo& port : ports) {
        if (request.link.ifi_index == 0 ||
            port.ifindex == static_cast<std::uint32_t>(request.link.ifi_index)) {
            write_link(writer, port, NLM_F_MULTI, request.header.nlmsg_seq);
        }
    }
    return {.handling = Handling::before_dump, .messages = writer.take()};
}

}  // namespace

Answer answer(Bytes bytes, AckOptions options) {
    const auto request = read_request(bytes);
    if (!request) {
        return {};
    }
    const std::uint16_t type = request->header.nlmsg_type;
    if (type != RTM_GETLINK && type != RTM_SETLINK && type != RTM_NEWLINK) {
        return {};
    }
    // A link that nobody holds any more is not there.
    syscall::object_store::collect();
    const std::vector<PortInfo> ports = syscall::port_hooks().list();
    if (ports.empty()) {
        return {};
    }
    if (type != RTM_GETLINK) {
        return answer_change(ports, *request, options);
    }
    return (request->header.nlmsg_flags & NLM_F_DUMP) != 0 ? answer_dump(ports, *request)
                                                           : answer_query(ports, *request, options);
}

}  // namespace crema::ebpf::netlink
