// SPDX-License-Identifier: BSD-3-Clause
//
// See client.h. The server answers in order, so a reply is always that of the last question; an
// answer also says that every posted write before it has been done.
#include "lib/vfio/user/client.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "lib/base/log.h"
#include "lib/vfio/user/channel.h"

namespace crema::vfio::user {
namespace {

using Bytes = std::span<const std::uint8_t>;

class UserDevice final : public Device, public DmaListener {
  public:
    UserDevice(std::string path, UniqueFd socket)
        : path_(std::move(path)), channel_(std::move(socket)) {
        registers_ = registers_by_calls(*this);
    }

    ~UserDevice() override {
        if (dma_ != nullptr) {
            dma_->detach(*this);
        }
        // An answer to this says that no DMA is under way any more.
        const DmaUnmap all{.argsz = sizeof(DmaUnmap), .flags = kUnmapAll};
        DmaUnmap reply;
        static_cast<void>(ask(Command::dma_unmap, all, reply));
    }

    UserDevice(const UserDevice&) = delete;
    UserDevice& operator=(const UserDevice&) = delete;

    [[nodiscard]] Status introduce();

    [[nodiscard]] Status share(DmaSpace& space) {
        if (auto attached = space.attach(*this); !attached) {
            return attached;
        }
        dma_ = &space;
        return {};
    }

    [[nodiscard]] std::string describe() const override { return "vfio-user " + path_; }

    [[nodiscard]] bool alive() const override { return !dead_.load(std::memory_order_acquire); }

    [[nodiscard]] bool can_vanish() const override { return true; }

    [[nodiscard]] bool is_back() const override;
    [[nodiscard]] Status reattach() override;
    [[nodiscard]] Result<int> enable_interrupt() override;
    void rearm_interrupt() override;
    void disable_interrupt() override;

    [[nodiscard]] Status range_added(const DmaReach::Window& window,
                                     std::span<const DmaBacking> backing) override;
    void range_removed(const DmaReach::Window& window) override;

    [[nodiscard]] std::uint32_t read(std::uint32_t offset);
    void write(std::uint32_t offset, std::uint32_t value);

  private:
    /// One question and its answer. Errors: the server's, EPROTO, ENODEV dead.
    [[nodiscard]] Result<Bytes> converse(Command command, Bytes first, Bytes second, int fd);

    template <typename Request, typename Reply>
    [[nodiscard]] Status ask(Command command, const Request& request, Reply& reply) {
        const std::scoped_lock lock(lock_);
        const auto answer = converse(command, bytes_of(request), {}, -1);
        if (!answer) {
            return forward_error(answer);
        }
        return load(*answer, reply) ? Status() : die("an answer that is too short");
    }

    template <typename Request>
    [[nodiscard]] Status tell(Command command, const Request& request, int fd = -1) {
        const std::scoped_lock lock(lock_);
        const auto answer = converse(command, bytes_of(request), {}, fd);
        return answer ? Status() : Status(forward_error(answer));
    }

    Status die(std::string_view why);

    std::string path_;
    Channel channel_;
    std::mutex lock_;  // the socket: one question at a time
    std::uint16_t next_id_ = 0;
    std::atomic<bool> dead_{false};
    UniqueFd interrupt_;
};

Status UserDevice::die(std::string_view why) {
    if (!dead_.exchange(true, std::memory_order_acq_rel)) {
        channel_.shut();
        log::error("device=user:{}: the device is gone: {}", path_, why);
    }
    return fail(EPROTO, "device=user:{}: the device is gone: {}", path_, why);
}

Result<Bytes> UserDevice::converse(Command command, Bytes first, Bytes second, int fd) {
    if (!alive()) {
        return fail(ENODEV, "device=user:{}: the device is gone", path_);
    }
    const std::uint16_t id = next_id_++;
    if (auto sent = channel_.send({.id = id, .command = command}, first, second, fd); !sent) {
        return forward_error(die(sent.error().message));
    }
    switch (channel_.receive()) {
        case Channel::Outcome::message:
            break;
        case Channel::Outcome::nothing:
            return forward_error(die(
                fmt::format("no answer for {} s (does another program have it?)", kAnswerSeconds)));
        case Channel::Outcome::closed:
            return forward_error(die("its process closed the connection"));
        case Channel::Outcome::broken:
            return forward_error(die(channel_.why()));
    }
    const Header& header = channel_.header();
    if (header.id != id || header.command != command || (header.flags & kTypeMask) != kTypeReply) {
        return forward_error(die("an answer to no question"));
    }
    if ((header.flags & kError) != 0) {
        const int error = header.error == 0 ? EIO : static_cast<int>(header.error);
        return fail(error, "device=user:{}: refused: {}", path_, std::strerror(error));
    }
    return channel_.payload();
}

Status UserDevice::introduce() {
    constexpr std::string_view kText =
        R"({"capabilities":{"max_msg_fds":8,"max_data_xfer_size":65536,"pgsizes":4096}})";
    static_assert(kText.data()[kText.size()] == '\0');
    {
        const std::scoped_lock lock(lock_);
        const Version ours;
        const auto answer =
            converse(Command::version, bytes_of(ours),
                     {reinterpret_cast<const std::uint8_t*>(kText.data()), kText.size() + 1}, -1);
        Version theirs;
        if (!answer) {
            return forward_error(answer);
        }
        if (!load(*answer, theirs) || theirs.major != 0) {
            return die("another version of vfio-user");
        }
    }
    DeviceInfo info;
    if (auto told = ask(Command::device_info, DeviceInfo{.argsz = sizeof(DeviceInfo)}, info);
        !told) {
        return told;
    }
    RegionInfo region;
    const RegionInfo registers{.argsz = sizeof(RegionInfo), .index = kRegisterRegion};
    if (auto told = ask(Command::region_info, registers, region); !told) {
        return told;
    }
    constexpr std::uint32_t kNeeded = kRegionRead | kRegionWrite;
    if (info.regions == 0 || (region.flags & kNeeded) != kNeeded || region.size == 0) {
        return fail(ENOTSUP, "device=user:{}: has no registers to be read and written", path_);
    }
    return {};
}

/// Empty: the path is too long for one.
std::optional<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    if (path.size() >= sizeof(address.sun_path)) {
        return std::nullopt;
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    return address;
}

bool connects(int socket, const sockaddr_un& address) {
    return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

Result<UniqueFd> connected_socket(const std::string& path) {
    const auto address = address_of(path);
    if (!address) {
        return fail(EINVAL, "device=user:{}: want a path of at most {} characters", path,
                    sizeof(sockaddr_un::sun_path) - 1);
    }
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{kAnswerSeconds, 0};
    if (!socket.valid() ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
        !connects(socket.get(), *address)) {
        const int error = errno;
        return fail(error, "device=user:{}: cannot connect: {}{}", path, std::strerror(error),
                    error == ENOENT || error == ECONNREFUSED
                        ? "; is crema-neta-model running there?"
                    : error == EAGAIN ? "; another program has the device"
                                      : "");
    }
    return socket;
}

bool UserDevice::is_back() const {
    const auto address = address_of(path_);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return address && socket.valid() && connects(socket.get(), *address);
}

Status UserDevice::reattach() {
    auto socket = connected_socket(path_);
    if (!socket) {
        return forward_error(socket);
    }
    {
        const std::scoped_lock lock(lock_);
        channel_ = Channel(std::move(*socket));
        dead_.store(false, std::memory_order_release);
    }
    dma_->detach(*this);
    Status ready = introduce();
    if (ready) {
        ready = dma_->attach(*this);
    }
    if (ready && interrupt_.valid()) {
        const auto enabled = enable_interrupt();
        ready = enabled ? Status() : Status(forward_error(enabled));
    }
    if (!ready && alive()) {
        static_cast<void>(die(ready.error().message));
    }
    return ready;
}

std::uint32_t UserDevice::read(std::uint32_t offset) {
    const RegionAccess access{offset, kRegisterRegion, sizeof(std::uint32_t)};
    const std::scoped_lock lock(lock_);
    const auto answer = converse(Command::region_read, bytes_of(access), {}, -1);
    std::uint32_t value = 0;
    if (answer && (answer->size() != sizeof(access) + sizeof(value) ||
                   !load(answer->subspan(sizeof(access)), value))) {
        static_cast<void>(die("a register's value of another length"));
    }
    return value;
}

void UserDevice::write(std::uint32_t offset, std::uint32_t value) {
    const RegionAccess access{offset, kRegisterRegion, sizeof(value)};
    const std::scoped_lock lock(lock_);
    if (!alive()) {
        return;
    }
    const Header header{
        .id = next_id_++, .command = Command::region_write, .flags = kTypeCommand | kNoReply};
    if (auto sent = channel_.send(header, bytes_of(access), bytes_of(value)); !sent) {
        static_cast<void>(die(sent.error().message));
    }
}

Status UserDevice::range_added(const DmaReach::Window& window,
                               std::span<const DmaBacking> backing) {
    if (!alive()) {
        return {};  // it reaches nothing
    }
    if (backing.empty()) {
        return fail(
            ENOTSUP,
            "device=user:{}: memory at {} is not backed by a file, so that no other process "
            "can reach it",
            path_, static_cast<const void*>(window.va));
    }
    DmaMap map{
        .argsz = sizeof(DmaMap), .flags = kMapReadable | kMapWritable, .address = window.iova};
    for (const DmaBacking& piece : backing) {
        map.offset = piece.offset;
        map.size = piece.bytes;
        if (auto mapped = tell(Command::dma_map, map, piece.fd); !mapped) {
            range_removed(window);
            return fail(mapped.error().code, "device=user:{}: cannot share memory: {}", path_,
                        mapped.error().message);
        }
        map.address += piece.bytes;
    }
    return {};
}

void UserDevice::range_removed(const DmaReach::Window& window) {
    DmaUnmap unmap{.argsz = sizeof(DmaUnmap), .address = window.iova, .size = window.bytes};
    const auto gone = ask(Command::dma_unmap, unmap, unmap);
    if (!gone && alive()) {
        // A server that keeps the memory must not keep the connection.
        static_cast<void>(die(gone.error().message));
    }
}

Result<int> UserDevice::enable_interrupt() {
    if (!interrupt_.valid()) {
        interrupt_ = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        if (!interrupt_.valid()) {
            return fail(errno, "device=user:{}: no eventfd: {}", path_, std::strerror(errno));
        }
    }
    const SetIrqs set{.argsz = sizeof(SetIrqs),
                      .flags = kIrqDataEventfd | kIrqTrigger,
                      .index = kLineIrq,
                      .start = 0,
                      .count = 1};
    if (auto done = tell(Command::set_irqs, set, interrupt_.get()); !done) {
        return forward_error(done);
    }
    return interrupt_.get();
}

void UserDevice::rearm_interrupt() {
    const SetIrqs set{.argsz = sizeof(SetIrqs),
                      .flags = kIrqDataNone | kIrqUnmask,
                      .index = kLineIrq,
                      .start = 0,
                      .count = 1};
    static_cast<void>(tell(Command::set_irqs, set));
}

void UserDevice::disable_interrupt() {
    const SetIrqs set{.argsz = sizeof(SetIrqs),
                      .flags = kIrqDataNone | kIrqTrigger,
                      .index = kLineIrq,
                      .start = 0,
                      .count = 0};
    static_cast<void>(tell(Command::set_irqs, set));
}

}  // namespace

Result<std::unique_ptr<Device>> connect(const std::string& path, DmaSpace& space) {
    auto socket = connected_socket(path);
    if (!socket) {
        return forward_error(socket);
    }
    auto device = std::make_unique<UserDevice>(path, std::move(*socket));
    if (auto met = device->introduce(); !met) {
        return forward_error(met);
    }
    if (auto shared = device->share(space); !shared) {
        return forward_error(shared);
    }
    return std::unique_ptr<Device>(std::move(device));
}

}  // namespace crema::vfio::user
