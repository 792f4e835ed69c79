// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "packet:IFNAME": the port takes the place of an existing interface's far end through a raw
// AF_PACKET socket (veth, a real NIC). What the kernel leaves to hardware is finished here, as a
// NIC would have: checksums that were left open, the VLAN tag beside the frame, padding. Frames
// that the host itself sends through the interface are not heard. Frames above the MAC's limit
// (segmentation offload makes up to 64 KiB on veth: switch tso, gso and gro off there) are dropped
// and counted.
// Source: packet(7).
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <vector>

#include <linux/if_packet.h>

#include "drivers/model/neta/checksum.h"
#include "drivers/model/neta/wires/wire.h"
#include "lib/base/unique_fd.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kVlanTag = 4;
constexpr std::uint32_t kEtherHeader = 14;
constexpr std::uint32_t kAddresses = 12;
constexpr auto kLinkPeriod = std::chrono::milliseconds(100);

// Fills in the TCP or UDP checksum of an IPv4 or IPv6 frame whose L4 field holds only the pseudo
// header's sum (what the stack leaves for hardware).
void complete_checksum(std::uint8_t* frame, std::uint32_t bytes) {
    std::uint32_t l3 = kEtherHeader;
    std::uint16_t type = load_be16(frame + 12);
    if (type == ETHERTYPE_VLAN && bytes >= l3 + kVlanTag) {
        type = load_be16(frame + 16);
        l3 += kVlanTag;
    }
    std::uint32_t l4 = l3 + 40;
    std::uint32_t end = 0;
    std::uint8_t protocol = 0;
    if (type == ETHERTYPE_IP && bytes >= l3 + 20) {
        l4 = l3 + (frame[l3] & 0xfU) * 4;
        end = l3 + load_be16(frame + l3 + 2);
        protocol = frame[l3 + 9];
    } else if (type == ETHERTYPE_IPV6 && bytes >= l4) {
        end = l4 + load_be16(frame + l3 + 4);
        protocol = frame[l3 + 6];
    }
    const std::uint32_t field = l4 + (protocol == IPPROTO_UDP ? 6U : 16U);
    if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || end > bytes || field + 2 > end) {
        return;
    }
    auto sum = static_cast<std::uint16_t>(~fold_sum(sum_bytes(frame + l4, end - l4)));
    if (sum == 0 && protocol == IPPROTO_UDP) {
        sum = 0xffff;
    }
    std::memcpy(frame + field, &sum, sizeof(sum));
}

class PacketWire final : public Wire {
  public:
    PacketWire(UniqueFd fd, std::string name)
        : fd_(std::move(fd)), name_(std::move(name)), buffer_(kBurst * std::size_t{kSlot}) {
        for (std::uint32_t i = 0; i < kBurst; ++i) {
            // Room in front for a VLAN tag that comes beside the frame.
            parts_[i] = {slot(i) + kVlanTag, kWireFrameMax + 1};
        }
    }

    std::uint32_t receive(std::span<WireFrame> frames) override;
    void send(std::span<const WireFrame> frames) override;
    bool link() override;

    [[nodiscard]] int wait_fd() const override { return fd_.get(); }

    [[nodiscard]] std::string describe() const override { return "packet:" + name_; }

  private:
    static constexpr std::uint32_t kSlot = 16448;  // tag, frame, and one byte to see longer ones
    static_assert(kSlot >= kVlanTag + kWireFrameMax + 1 && kSlot % 64 == 0);

    struct Control {
        alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(tpacket_auxdata))> bytes;
    };

    std::uint8_t* slot(std::uint32_t index) { return &buffer_[index * std::size_t{kSlot}]; }

    bool finish(std::uint32_t index, const mmsghdr& message, WireFrame& frame);

    UniqueFd fd_;
    std::string name_;
    std::vector<std::uint8_t> buffer_;
    std::array<iovec, kBurst> parts_{};
    std::array<mmsghdr, kBurst> messages_{};
    std::array<sockaddr_ll, kBurst> senders_{};
    std::array<Control, kBurst> controls_{};
    bool link_ = true;
    std::chrono::steady_clock::time_point link_checked_{};
};

// Turns one message into a frame; false: not for us.
bool PacketWire::finish(std::uint32_t index, const mmsghdr& message, WireFrame& frame) {
    if (senders_[index].sll_pkttype == PACKET_OUTGOING) {
        return false;
    }
    std::uint8_t* data = slot(index) + kVlanTag;
    std::uint32_t bytes = message.msg_len;
    if (bytes > kWireFrameMax || bytes < kEtherHeader) {
        add(losses_.rx_size);
        return false;
    }
    tpacket_auxdata facts{};
    msghdr header = message.msg_hdr;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level == SOL_PACKET && part->cmsg_type == PACKET_AUXDATA) {
            std::memcpy(&facts, CMSG_DATA(part), sizeof(facts));
        }
    }
    if ((facts.tp_status & TP_STATUS_CSUMNOTREADY) != 0) {
        complete_checksum(data, bytes);
    }
    if ((facts.tp_status & TP_STATUS_VLAN_VALID) != 0) {
        const std::uint16_t type = (facts.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0
                                       ? facts.tp_vlan_tpid
                                       : std::uint16_t{ETHERTYPE_VLAN};
        std::memmove(data - kVlanTag, data, kAddresses);
        data -= kVlanTag;
        bytes += kVlanTag;
        const std::uint16_t tag[2] = {htons(type), htons(facts.tp_vlan_tci)};
        std::memcpy(data + kAddresses, tag, sizeof(tag));
    }
    if (bytes < kMinFrame) {
        std::memset(data + bytes, 0, kMinFrame - bytes);
        bytes = kMinFrame;
    }
    frame = {data, bytes, false, nullptr};
    return true;
}

std::uint32_t PacketWire::receive(std::span<WireFrame> frames) {
    const auto room = static_cast<std::uint32_t>(std::min<std::size_t>(frames.size(), kBurst));
    for (std::uint32_t i = 0; i < room; ++i) {
        msghdr& header = messages_[i].msg_hdr;
        header = {};
        header.msg_name = &senders_[i];
        header.msg_namelen = sizeof(senders_[i]);
        header.msg_iov = &parts_[i];
        header.msg_iovlen = 1;
        header.msg_control = controls_[i].bytes.data();
        header.msg_controllen = controls_[i].bytes.size();
    }
    const int got = ::recvmmsg(fd_.get(), messages_.data(), room, MSG_DONTWAIT, nullptr);
    if (got <= 0) {
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            add(losses_.io_errors);  // ENETDOWN while the interface is down
        }
        return 0;
    }
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(got); ++i) {
        count += finish(i, messages_[i], frames[count]) ? 1U : 0U;
    }
    return count;
}

void PacketWire::send(std::span<const WireFrame> frames) {
    for (const WireFrame& frame : frames) {
        if (::send(fd_.get(), frame.data, frame.bytes, MSG_DONTWAIT) < 0) {
            add(errno == EAGAIN || errno == ENOBUFS ? losses_.tx_full : losses_.io_errors);
        }
    }
}

bool PacketWire::link() {
    const auto now = std::chrono::steady_clock::now();
    if (now - link_checked_ >= kLinkPeriod) {
        link_checked_ = now;
        ifreq request{};
        std::memcpy(request.ifr_name, name_.c_str(), name_.size());
        link_ = ::ioctl(fd_.get(), SIOCGIFFLAGS, &request) == 0 &&
                (request.ifr_flags & IFF_RUNNING) != 0;
    }
    return link_;
}

Status set_up(int fd, unsigned index) {
    const int on = 1;
    if (::setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) != 0) {
        return fail(errno, "PACKET_AUXDATA: {}", std::strerror(errno));
    }
    // Older kernels lack it; receive() looks at the packet type as well.
    (void)::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(index);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return fail(errno, "cannot bind: {}", std::strerror(errno));
    }
    // The port filters by itself: it must hear everything that is on the wire.
    packet_mreq promiscuous{};
    promiscuous.mr_ifindex = static_cast<int>(index);
    promiscuous.mr_type = PACKET_MR_PROMISC;
    if (::setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) !=
        0) {
        return fail(errno, "cannot hear all frames: {}", std::strerror(errno));
    }
    return {};
}

}  // namespace

WireResult open_packet_wire(const std::string& args) {
    if (args.empty() || args.size() >= IFNAMSIZ) {
        return fail(EINVAL, "wire=packet:{}: want packet:IFNAME of at most {} characters", args,
                    IFNAMSIZ - 1);
    }
    const unsigned index = ::if_nametoindex(args.c_str());
    if (index == 0) {
        return fail(ENODEV, "wire=packet:{}: no such interface in this network namespace", args);
    }
    // Protocol 0 hears nothing until bind(), so no frame of another interface slips in.
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!fd.valid()) {
        const int error = errno;
        return fail(error, "wire=packet:{}: cannot open a raw socket: {}{}", args,
                    std::strerror(error), error == EPERM ? "; needs root or CAP_NET_RAW" : "");
    }
    if (const Status ready = set_up(fd.get(), index); !ready) {
        return fail(ready.error().code, "wire=packet:{}: {}", args, ready.error().message);
    }
    return std::unique_ptr<Wire>(std::make_unique<PacketWire>(std::move(fd), args));
}

}  // namespace crema::neta::model
