// SPDX-License-Identifier: BSD-3-Clause
//
// Messages on a connected UNIX socket: a stream that may be cut anywhere is put together again, and
// descriptors are owned from the moment they arrive. Lengths are checked here, contents are not.
// One thread at a time. Nothing is allocated per message.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <sys/socket.h>
#include <type_traits>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/vfio/user/protocol.h"

namespace crema::vfio::user {

/// Descriptors that came with a message: who takes none leaves them to be closed.
class Fds {
  public:
    [[nodiscard]] std::uint32_t count() const { return count_; }

    /// Takes descriptor `i` out; invalid when there is none.
    [[nodiscard]] UniqueFd take(std::uint32_t i) {
        return i < count_ ? std::move(fds_[i]) : UniqueFd();
    }

    /// False: no room, the descriptor is closed.
    bool add(UniqueFd fd) {
        if (count_ == fds_.size()) {
            return false;
        }
        fds_[count_++] = std::move(fd);
        return true;
    }

    void clear() {
        for (std::uint32_t i = 0; i < count_; ++i) {
            fds_[i].reset();
        }
        count_ = 0;
    }

  private:
    std::array<UniqueFd, kFdsMax> fds_;
    std::uint32_t count_ = 0;
};

class Channel {
  public:
    enum class Outcome : std::uint8_t {
        message,
        nothing,  // no whole message within the time the socket waits
        closed,   // the peer has gone
        broken,   // the stream makes no sense, or the system refused: why()
    };

    explicit Channel(UniqueFd socket);

    /// The message stays in here until the next call; a call after `nothing` goes on where it was.
    [[nodiscard]] Outcome receive();

    [[nodiscard]] const Header& header() const { return header_; }

    [[nodiscard]] std::span<const std::uint8_t> payload() const {
        return std::span(buffer_).subspan(sizeof(Header), header_.bytes - sizeof(Header));
    }

    [[nodiscard]] Fds& fds() { return fds_; }

    [[nodiscard]] const std::string& why() const { return why_; }

    /// Sends one message: `header.bytes` is filled in. fd: sent along when it is not -1. Waits up
    /// to a second for room. Errors: EPIPE, ETIMEDOUT, and what sendmsg(2) says.
    [[nodiscard]] Status send(Header header,
                              std::span<const std::uint8_t> first,
                              std::span<const std::uint8_t> second = {},
                              int fd = -1);

    [[nodiscard]] int fd() const { return socket_.get(); }

    /// Nothing comes or goes any more; the peer sees the end.
    void shut();

  private:
    [[nodiscard]] Outcome read_some(std::size_t wanted);
    [[nodiscard]] bool keep_fds(const msghdr& message);
    [[nodiscard]] bool wait_for_room();

    UniqueFd socket_;
    std::vector<std::uint8_t> buffer_;
    std::size_t have_ = 0;
    bool whole_ = false;  // buffer_ holds a message that was handed out
    Header header_{};
    Fds fds_;
    std::string why_;
};

/// Reads a structure off the front of `bytes`; false: too short.
template <typename T>
[[nodiscard]] bool load(std::span<const std::uint8_t> bytes, T& out) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (bytes.size() < sizeof(T)) {
        return false;
    }
    __builtin_memcpy(&out, bytes.data(), sizeof(T));
    return true;
}

template <typename T>
[[nodiscard]] std::span<const std::uint8_t> bytes_of(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(T)};
}

}  // namespace crema::vfio::user
