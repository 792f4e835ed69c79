// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/netlink/link_message.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

namespace crema::ebpf::netlink {
namespace {

constexpr std::uint8_t kOperationalDown = 2, kOperationalUp = 6;  // RFC 2863
constexpr std::uint32_t kLowerUp = 1U << 16;                      // IFF_LOWER_UP

std::uint32_t flags_of(const syscall::PortInfo& port) {
    std::uint32_t flags = IFF_BROADCAST | IFF_MULTICAST;
    if (port.is_up) {
        flags |= IFF_UP;
    }
    if (port.is_up && port.has_carrier) {
        flags |= IFF_RUNNING | kLowerUp;
    }
    return flags;
}

void write_xdp(Writer& writer, const syscall::Attachment& attachment) {
    const std::size_t nest = writer.open(IFLA_XDP);
    const auto program = attachment.first();
    if (program == nullptr) {
        writer.number<std::uint8_t>(IFLA_XDP_ATTACHED, XDP_ATTACHED_NONE);
    } else {
        const bool native = attachment.mode == syscall::XdpMode::native;
        const std::uint32_t id = program->id;
        writer.number(native ? IFLA_XDP_DRV_PROG_ID : IFLA_XDP_SKB_PROG_ID, id);
        writer.number<std::uint8_t>(IFLA_XDP_ATTACHED,
                                    native ? XDP_ATTACHED_DRV : XDP_ATTACHED_SKB);
        writer.number(IFLA_XDP_PROG_ID, id);
    }
    writer.close(nest);
}

}  // namespace

void write_link(Writer& writer,
                const syscall::PortInfo& port,
                std::uint16_t flags,
                std::uint32_t sequence) {
    writer.begin(RTM_NEWLINK, flags, sequence);
    writer.add(ifinfomsg{.ifi_family = AF_UNSPEC,
                         .__ifi_pad = 0,
                         .ifi_type = ARPHRD_ETHER,
                         .ifi_index = static_cast<int>(port.ifindex),
                         .ifi_flags = flags_of(port),
                         .ifi_change = 0});
    writer.text(IFLA_IFNAME, port.name);
    writer.number<std::uint8_t>(IFLA_OPERSTATE,
                                port.is_up && port.has_carrier ? kOperationalUp : kOperationalDown);
    writer.number(IFLA_MTU, port.mtu);
    writer.number<std::uint32_t>(IFLA_GROUP, 0);
    writer.number(IFLA_NUM_TX_QUEUES, port.tx_queues);
    writer.number(IFLA_NUM_RX_QUEUES, port.rx_queues);
    writer.number<std::uint8_t>(IFLA_CARRIER, port.has_carrier ? 1 : 0);
    constexpr std::array<std::uint8_t, 6> kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    writer.attribute(IFLA_ADDRESS, port.address);
    writer.attribute(IFLA_BROADCAST, kBroadcast);
    write_xdp(writer, port.attachment);
    if (!port.alias.empty()) {
        const std::size_t names = writer.open(IFLA_PROP_LIST);
        writer.text(IFLA_ALT_IFNAME, port.alias);
        writer.close(names);
    }
}

}  // namespace crema::ebpf::netlink
