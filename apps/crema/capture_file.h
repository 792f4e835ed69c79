// SPDX-License-Identifier: BSD-3-Clause
//
// The reading side of a capture (lib/xdp/capture_ring.h): records of all rings, in the order of
// their times. What is in the file was written by another process and is checked before it is used.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/xdp/capture_ring.h"

namespace crema::command {

struct CapturedFrame {
    xdp::CaptureRecord about;
    std::uint64_t unix_ns = 0;
    std::uint32_t ring = 0;
    std::span<const std::uint8_t> bytes;  // until the next read()
};

class CaptureFile {
  public:
    /// EPROTO: no such file.
    [[nodiscard]] static Result<CaptureFile> map(const UniqueFd& file);

    ~CaptureFile();
    CaptureFile(CaptureFile&& other) noexcept;
    CaptureFile& operator=(CaptureFile&&) = delete;
    CaptureFile(const CaptureFile&) = delete;
    CaptureFile& operator=(const CaptureFile&) = delete;

    /// What has come since the last call, at most some thousand frames. EPROTO: the other side
    /// wrote nonsense.
    [[nodiscard]] Result<std::vector<CapturedFrame>> read();

    /// Frames that found no room, so far.
    [[nodiscard]] std::uint64_t dropped() const;

  private:
    CaptureFile(std::uint8_t* memory, std::uint64_t bytes, const xdp::CaptureHeader& header)
        : memory_(memory), bytes_(bytes), header_(header), tails_(header.rings), ends_(tails_) {}

    [[nodiscard]] xdp::CaptureRingHead& head_of(std::uint32_t ring) const;
    [[nodiscard]] Status read_ring(std::uint32_t ring, std::vector<CapturedFrame>& frames);

    std::uint8_t* memory_;
    std::uint64_t bytes_;
    xdp::CaptureHeader header_;
    std::vector<std::uint64_t> tails_;  // by ring: handed out before
    std::vector<std::uint64_t> ends_;   // and by the last read()
};

}  // namespace crema::command
