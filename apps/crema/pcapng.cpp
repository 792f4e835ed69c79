// SPDX-License-Identifier: BSD-3-Clause
// Source: draft-ietf-opsawg-pcapng.
#include "apps/crema/pcapng.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace crema::command {
namespace {

constexpr std::uint32_t kSection = 0x0a0d0d0a, kInterface = 1, kStatistics = 5, kPacket = 6;
constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
constexpr std::uint16_t kLinkEthernet = 1;
// Options, by block.
constexpr std::uint16_t kComment = 1;
constexpr std::uint16_t kSectionApplication = 4;
constexpr std::uint16_t kInterfaceName = 2, kInterfaceDescription = 3, kInterfaceResolution = 9;
constexpr std::uint16_t kPacketFlags = 2, kPacketId = 5, kPacketQueue = 6, kPacketVerdict = 7;
constexpr std::uint16_t kStatisticsReceived = 4, kStatisticsDropped = 5;
constexpr std::uint8_t kNanoseconds = 9;       // 10^-9 s
constexpr std::uint32_t kInbound = 1;          // flags
constexpr std::uint8_t kVerdictOfEbpfXdp = 2;  // kind of a verdict
constexpr std::size_t kOptionMax = 65535;

}  // namespace

Result<PcapngWriter> PcapngWriter::open(const std::string& path) {
    constexpr mode_t kMode = 0644;
    UniqueFd file(path == "-"
                      ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                      : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode));
    if (!file.valid()) {
        const int code = errno;
        return fail(code, "{}: cannot be written: {}", path, std::strerror(code));
    }
    return PcapngWriter(path == "-" ? "standard output" : path, std::move(file));
}

void PcapngWriter::begin() {
    const std::size_t start = open_block(kSection);
    put_number(kByteOrder);
    put_number<std::uint16_t>(1);  // version 1.0
    put_number<std::uint16_t>(0);
    put_number<std::int64_t>(-1);  // length of the section: not known
    put_option(kSectionApplication, "crema dump 0.1.0");
    end_options();
    close_block(start);
}

std::size_t PcapngWriter::open_block(std::uint32_t type) {
    const std::size_t start = buffer_.size();
    put_number(type);
    put_number<std::uint32_t>(0);  // length, by close_block()
    return start;
}

void PcapngWriter::close_block(std::size_t start) {
    const auto bytes = static_cast<std::uint32_t>(buffer_.size() - start + sizeof(std::uint32_t));
    std::memcpy(&buffer_[start + sizeof(std::uint32_t)], &bytes, sizeof bytes);
    put_number(bytes);
}

void PcapngWriter::put(const void* bytes, std::size_t n) {
    const auto* const first = static_cast<const std::uint8_t*>(bytes);
    buffer_.insert(buffer_.end(), first, first + n);
}

void PcapngWriter::put_padded(const void* bytes, std::size_t n) {
    put(bytes, n);
    buffer_.insert(buffer_.end(), (4 - n % 4) % 4, 0);
}

void PcapngWriter::put_option(std::uint16_t code, const void* bytes, std::size_t n) {
    n = std::min(n, kOptionMax);
    put_number(code);
    put_number(static_cast<std::uint16_t>(n));
    put_padded(bytes, n);
}

std::uint32_t PcapngWriter::add_interface(const std::string& name,
                                          const std::string& description,
                                          std::uint32_t snap_bytes) {
    const std::size_t start = open_block(kInterface);
    put_number(kLinkEthernet);
    put_number<std::uint16_t>(0);
    put_number(snap_bytes);
    put_option(kInterfaceName, name);
    put_option(kInterfaceDescription, description);
    put_option_number(kInterfaceResolution, kNanoseconds);
    end_options();
    close_block(start);
    return interfaces_++;
}

void PcapngWriter::add(const PcapngPacket& packet) {
    const std::size_t start = open_block(kPacket);
    put_number(packet.interface);
    put_number(static_cast<std::uint32_t>(packet.unix_ns >> 32U));
    put_number(static_cast<std::uint32_t>(packet.unix_ns));
    put_number(static_cast<std::uint32_t>(packet.bytes.size()));
    put_number(packet.frame_bytes);
    put_padded(packet.bytes.data(), packet.bytes.size());
    if (!packet.comment.empty()) {
        put_option(kComment, packet.comment);
    }
    put_option_number(kPacketFlags, kInbound);
    put_option_number(kPacketId, packet.id);
    put_option_number(kPacketQueue, packet.queue);
    if (packet.verdict) {
        std::array<std::uint8_t, 1 + sizeof(std::uint64_t)> verdict{kVerdictOfEbpfXdp};
        const std::uint64_t act = *packet.verdict;
        std::memcpy(&verdict[1], &act, sizeof act);
        put_option(kPacketVerdict, verdict.data(), verdict.size());
    }
    end_options();
    close_block(start);
}

void PcapngWriter::add_statistics(std::uint32_t interface,
                                  std::uint64_t unix_ns,
                                  std::uint64_t received,
                                  std::uint64_t dropped) {
    const std::size_t start = open_block(kStatistics);
    put_number(interface);
    put_number(static_cast<std::uint32_t>(unix_ns >> 32U));
    put_number(static_cast<std::uint32_t>(unix_ns));
    put_option_number(kStatisticsReceived, received);
    put_option_number(kStatisticsDropped, dropped);
    end_options();
    close_block(start);
}

Status PcapngWriter::flush() {
    std::size_t done = 0;
    while (done < buffer_.size()) {
        const ssize_t bytes = ::write(file_.get(), &buffer_[done], buffer_.size() - done);
        if (bytes < 0 && errno == EINTR) {
            continue;
        }
        if (bytes <= 0) {
            const int code = bytes == 0 ? ENOSPC : errno;
            cut_to_whole_blocks(done);
            buffer_.clear();
            return fail(code, "{}: cannot be written any more: {}; what is there can be read",
                        path_, std::strerror(code));
        }
        done += static_cast<std::size_t>(bytes);
    }
    in_file_ += done;
    buffer_.clear();
    return {};
}

void PcapngWriter::cut_to_whole_blocks(std::size_t written) {
    std::size_t whole = 0;
    while (whole + 2 * sizeof(std::uint32_t) <= buffer_.size()) {
        std::uint32_t bytes = 0;
        std::memcpy(&bytes, &buffer_[whole + sizeof bytes], sizeof bytes);
        if (whole + bytes > written) {
            break;
        }
        whole += bytes;
    }
    // Of a pipe nothing can be taken back.
    (void)!::ftruncate(file_.get(), static_cast<off_t>(in_file_ + whole));
}

}  // namespace crema::command
