// SPDX-License-Identifier: BSD-3-Clause
//
// Captures: reading packets of a pcap or pcapng file one by one, writing the ones that came out.
// Only Ethernet; time stamps keep their nanoseconds. A packet that was cut when captured is taken
// as the bytes that are there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <sys/time.h>
#include <vector>

#include "lib/base/result.h"

struct pcap;
struct pcap_dumper;

namespace crema::command {

struct CapturedPacket {
    timeval time{};  // tv_usec holds nanoseconds
    std::vector<std::uint8_t> bytes;
};

class CaptureReader {
  public:
    /// ENOENT and other errors of open(2), EINVAL no capture, ENOTSUP not Ethernet.
    [[nodiscard]] static Result<CaptureReader> open(const std::string& path);

    /// None at the end of the file. EINVAL: the file is damaged here.
    [[nodiscard]] Result<std::optional<CapturedPacket>> next();

  private:
    struct Close {
        void operator()(pcap* handle) const;
    };

    std::string path_;
    std::unique_ptr<pcap, Close> handle_;
    std::uint64_t read_ = 0;
};

class CaptureWriter {
  public:
    /// Replaces the file.
    [[nodiscard]] static Result<CaptureWriter> open(const std::string& path);

    void write(const timeval& time, std::span<const std::uint8_t> bytes);

    /// Everything is in the file. EIO: it is not.
    [[nodiscard]] Status finish();

  private:
    struct Close {
        void operator()(pcap* handle) const;
        void operator()(pcap_dumper* handle) const;
    };

    std::string path_;
    std::unique_ptr<pcap, Close> form_;  // outlives the dumper
    std::unique_ptr<pcap_dumper, Close> file_;
};

}  // namespace crema::command
