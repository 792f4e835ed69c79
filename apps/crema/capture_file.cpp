// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/capture_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

#include <rte_cycles.h>

namespace crema::command {
namespace {

constexpr std::size_t kFramesPerRing = 4096;  // of one read()
constexpr std::uint32_t kRingsMax = 1024;

tl::unexpected<Error> nonsense() {
    return fail(EPROTO, "the data path's capture file is none of this version");
}

bool is_plausible(const xdp::CaptureHeader& header) {
    return header.magic == xdp::kCaptureMagic && std::has_single_bit(header.ring_bytes) &&
           header.ring_bytes >= xdp::kCaptureRingMin && header.ring_bytes <= xdp::kCaptureRingMax &&
           header.rings != 0 && header.rings <= kRingsMax && header.tsc_hz != 0;
}

}  // namespace

Result<CaptureFile> CaptureFile::map(const UniqueFd& file) {
    struct stat status {};

    if (::fstat(file.get(), &status) != 0 ||
        status.st_size < static_cast<off_t>(sizeof(xdp::CaptureHeader))) {
        return nonsense();
    }
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) {
        return fail(errno, "the capture's memory cannot be mapped: {}", std::strerror(errno));
    }
    xdp::CaptureHeader header{};
    std::memcpy(&header, memory, sizeof header);
    if (!is_plausible(header) ||
        xdp::capture_file_bytes(header.ring_bytes, header.rings) != bytes) {
        ::munmap(memory, bytes);
        return nonsense();
    }
    return CaptureFile(static_cast<std::uint8_t*>(memory), bytes, header);
}

CaptureFile::CaptureFile(CaptureFile&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      bytes_(other.bytes_),
      header_(other.header_),
      tails_(std::move(other.tails_)),
      ends_(std::move(other.ends_)) {}

CaptureFile::~CaptureFile() {
    if (memory_ != nullptr) {
        ::munmap(memory_, bytes_);
    }
}

xdp::CaptureRingHead& CaptureFile::head_of(std::uint32_t ring) const {
    return *reinterpret_cast<xdp::CaptureRingHead*>(memory_ +
                                                    xdp::capture_ring_at(header_.ring_bytes, ring));
}

Status CaptureFile::read_ring(std::uint32_t ring, std::vector<CapturedFrame>& frames) {
    const std::uint64_t head = head_of(ring).head.load(std::memory_order_acquire);
    std::uint64_t at = tails_[ring];
    if (head - at > header_.ring_bytes) {
        return nonsense();
    }
    const std::uint8_t* const data =
        memory_ + xdp::capture_ring_at(header_.ring_bytes, ring) + xdp::kCapturePage;
    std::size_t taken = 0;
    while (at != head && taken < kFramesPerRing) {
        const std::uint64_t place = at & (header_.ring_bytes - 1);
        const std::uint64_t room = std::min(header_.ring_bytes - place, head - at);
        xdp::CaptureRecord record;
        std::memcpy(static_cast<void*>(&record), data + place, 2 * sizeof(std::uint32_t));
        if (record.bytes == 0 || record.bytes % 8 != 0 || record.bytes > room) {
            return nonsense();
        }
        if (record.point != xdp::CapturePoint::filler) {
            if (record.bytes < sizeof record) {
                return nonsense();
            }
            std::memcpy(&record, data + place, sizeof record);
            if (record.captured_bytes > record.bytes - sizeof record) {
                return nonsense();
            }
            frames.push_back({.about = record,
                              .unix_ns = 0,
                              .ring = ring,
                              .bytes = {data + place + sizeof record, record.captured_bytes}});
            ++taken;
        }
        at += record.bytes;
    }
    ends_[ring] = at;
    return {};
}

Result<std::vector<CapturedFrame>> CaptureFile::read() {
    using namespace std::chrono;
    std::vector<CapturedFrame> frames;
    for (std::uint32_t ring = 0; ring < header_.rings; ++ring) {
        // What was handed out the last time is done with.
        tails_[ring] = ends_[ring];
        head_of(ring).tail.store(tails_[ring], std::memory_order_release);
        if (const Status done = read_ring(ring, frames); !done) {
            return forward_error(done);
        }
    }
    if (frames.empty()) {
        return frames;
    }
    std::ranges::stable_sort(frames, {}, [](const CapturedFrame& one) { return one.about.tsc; });
    // The records' clock is this machine's, too.
    const auto now_ns = static_cast<std::uint64_t>(
        duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count());
    const std::uint64_t now_tsc = rte_rdtsc();
    const double ns_per_tick = 1e9 / static_cast<double>(header_.tsc_hz);
    for (CapturedFrame& frame : frames) {
        const auto ago = static_cast<double>(static_cast<std::int64_t>(now_tsc - frame.about.tsc));
        frame.unix_ns = now_ns - static_cast<std::uint64_t>(std::max(0.0, ago * ns_per_tick));
    }
    return frames;
}

std::uint64_t CaptureFile::dropped() const {
    std::uint64_t sum = 0;
    for (std::uint32_t ring = 0; ring < header_.rings; ++ring) {
        sum += head_of(ring).dropped.load(std::memory_order_relaxed);
    }
    return sum;
}

}  // namespace crema::command
