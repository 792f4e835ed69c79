// SPDX-License-Identifier: BSD-3-Clause
//
// Writes a pcapng file of Ethernet frames with what other formats have no room for: an interface
// per place where frames were taken, comments, the queue, the verdict of an XDP program. Whole
// blocks only: a file that stops at any time, also because the disk is full, can be read up to
// there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::command {

struct PcapngPacket {
    std::uint32_t interface = 0;  // of add_interface()
    std::uint64_t unix_ns = 0;
    std::span<const std::uint8_t> bytes{};
    std::uint32_t frame_bytes = 0;  // of the whole frame
    std::uint64_t id = 0;           // the same for the same frame at two places
    std::uint32_t queue = 0;
    std::optional<std::uint32_t> verdict{};  // of an XDP program
    std::string comment{};                   // empty: none
};

class PcapngWriter {
  public:
    /// path: a new file, or "-": standard output. Errors of open(2).
    [[nodiscard]] static Result<PcapngWriter> open(const std::string& path);

    /// The number of a new interface. Names may repeat.
    [[nodiscard]] std::uint32_t add_interface(const std::string& name,
                                              const std::string& description,
                                              std::uint32_t snap_bytes);

    void add(const PcapngPacket& packet);

    /// What an interface saw in all, at the end.
    void add_statistics(std::uint32_t interface,
                        std::uint64_t unix_ns,
                        std::uint64_t received,
                        std::uint64_t dropped);

    /// Writes what was added. The error names the file; what is in the file is whole.
    [[nodiscard]] Status flush();

    /// Bytes that flush() would write.
    [[nodiscard]] std::size_t waiting() const { return buffer_.size(); }

  private:
    PcapngWriter(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {
        begin();
    }

    void begin();
    [[nodiscard]] std::size_t open_block(std::uint32_t type);
    void close_block(std::size_t start);
    void put(const void* bytes, std::size_t n);
    void put_padded(const void* bytes, std::size_t n);

    template <typename T>
    void put_number(T value) {
        put(&value, sizeof value);
    }

    void put_option(std::uint16_t code, const void* bytes, std::size_t n);

    void put_option(std::uint16_t code, const std::string& text) {
        put_option(code, text.data(), text.size());
    }

    template <typename T>
    void put_option_number(std::uint16_t code, T value) {
        put_option(code, &value, sizeof value);
    }

    void end_options() { put_number<std::uint32_t>(0); }

    /// Leaves in the file the whole blocks of its first `written` bytes of the buffer.
    void cut_to_whole_blocks(std::size_t written);

    std::string path_;
    UniqueFd file_;
    std::vector<std::uint8_t> buffer_;
    std::uint64_t in_file_ = 0;
    std::uint32_t interfaces_ = 0;
};

}  // namespace crema::command
