// SPDX-License-Identifier: BSD-3-Clause
//
// Wire "tap:IFNAME": the far end is a network interface of this host. The interface exists as
// long as the wire, is brought up at once, and may be moved to another network namespace: the
// wire goes on through its descriptor. Frames from the host come as the stack made them, so short
// ones are padded as the sending MAC would have. One system call per frame.
// Source: tuntap(4) of Linux (Documentation/networking/tuntap.rst).
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <linux/if_tun.h>

#include "drivers/model/neta/wires/wire.h"
#include "lib/base/unique_fd.h"
#include "lib/neta/registers.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kBurst = 64;

class TapWire final : public Wire {
  public:
    TapWire(UniqueFd fd, std::string name)
        : fd_(std::move(fd)), name_(std::move(name)), buffer_(kBurst * std::size_t{kSlot}) {}

    std::uint32_t receive(std::span<WireFrame> frames) override {
        const auto room = static_cast<std::uint32_t>(std::min<std::size_t>(frames.size(), kBurst));
        std::uint32_t count = 0;
        while (count < room) {
            std::uint8_t* const slot = &buffer_[count * std::size_t{kSlot}];
            // One byte more than allowed: a longer frame is cut by the kernel and must be told.
            const ssize_t got = ::read(fd_.get(), slot, kWireFrameMax + 1);
            if (got <= 0) {
                if (got < 0 && errno != EAGAIN && errno != EINTR) {
                    add(losses_.io_errors);
                }
                break;
            }
            auto bytes = static_cast<std::uint32_t>(got);
            if (bytes > kWireFrameMax) {
                add(losses_.rx_size);
                continue;
            }
            if (bytes < kMinFrame) {
                std::memset(slot + bytes, 0, kMinFrame - bytes);
                bytes = kMinFrame;
            }
            frames[count++] = {slot, bytes, false, nullptr};
        }
        return count;
    }

    void send(std::span<const WireFrame> frames) override {
        for (const WireFrame& frame : frames) {
            if (::write(fd_.get(), frame.data, frame.bytes) < 0) {
                // Interface down or moved and not up again, or no memory: the frame is lost.
                add(errno == EAGAIN || errno == ENOBUFS ? losses_.tx_full : losses_.io_errors);
            }
        }
    }

    bool link() override { return true; }

    [[nodiscard]] int wait_fd() const override { return fd_.get(); }

    [[nodiscard]] std::string describe() const override { return "tap:" + name_; }

  private:
    static constexpr std::uint32_t kSlot = kWireFrameMax + 2;

    UniqueFd fd_;
    std::string name_;
    std::vector<std::uint8_t> buffer_;
};

Status bring_up(ifreq request) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.valid() || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
        return fail(errno, "cannot read its flags: {}", std::strerror(errno));
    }
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
        return fail(errno, "cannot bring it up: {}", std::strerror(errno));
    }
    return {};
}

}  // namespace

WireResult open_tap_wire(const std::string& args) {
    if (args.empty() || args.size() >= IFNAMSIZ ||
        args.find_first_of(":/% ") != std::string::npos) {
        return fail(EINVAL, "wire=tap:{}: want tap:IFNAME of at most {} characters", args,
                    IFNAMSIZ - 1);
    }
    UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) {
        const int error = errno;
        return fail(error, "wire=tap:{}: cannot open /dev/net/tun: {}", args, std::strerror(error));
    }
    ifreq request{};
    std::memcpy(request.ifr_name, args.c_str(), args.size());
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
        const int error = errno;
        const char* hint = error == EPERM    ? "; needs root or CAP_NET_ADMIN"
                           : error == EBUSY  ? "; another program has it"
                           : error == EINVAL ? "; an interface of that name is no TAP"
                                             : "";
        return fail(error, "wire=tap:{}: cannot create the interface: {}{}", args,
                    std::strerror(error), hint);
    }
    if (const Status up = bring_up(request); !up) {
        return fail(up.error().code, "wire=tap:{}: {}", args, up.error().message);
    }
    return std::unique_ptr<Wire>(std::make_unique<TapWire>(std::move(fd), args));
}

}  // namespace crema::neta::model
