// SPDX-License-Identifier: BSD-3-Clause
//
// Netlink messages, read with bounds and written. Messages and attributes are aligned to four
// bytes; a length counts its header and not the padding.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <linux/netlink.h>

namespace crema::ebpf::netlink {

using Bytes = std::span<const std::uint8_t>;

/// T at the start of `bytes`, or nothing.
template <typename T>
[[nodiscard]] std::optional<T> read_as(Bytes bytes) {
    if (bytes.size() < sizeof(T)) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// The payloads of attributes by type; of one that comes twice the last. As the kernel reads them,
/// what lies behind the last whole attribute is left alone.
template <std::size_t N>
class Attributes {
  public:
    explicit Attributes(Bytes bytes) {
        while (const auto header = read_as<nlattr>(bytes)) {
            if (header->nla_len < sizeof(nlattr) || header->nla_len > bytes.size()) {
                return;
            }
            const std::size_t type = header->nla_type & NLA_TYPE_MASK;
            const Bytes payload = bytes.subspan(sizeof(nlattr), header->nla_len - sizeof(nlattr));
            if (type < N) {
                all_[type] = payload;
            }
            has_others_ = has_others_ || type >= N;
            bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), NLA_ALIGN(header->nla_len)));
        }
    }

    [[nodiscard]] const std::optional<Bytes>& operator[](std::size_t type) const {
        return all_[type];
    }

    [[nodiscard]] bool has(std::size_t type) const { return all_[type].has_value(); }

    /// True when any but these is there.
    [[nodiscard]] bool has_any_but(std::initializer_list<std::size_t> types) const {
        for (std::size_t type = 0; type < N; ++type) {
            if (has(type) && std::find(types.begin(), types.end(), type) == types.end()) {
                return true;
            }
        }
        return has_others_;
    }

  private:
    std::array<std::optional<Bytes>, N> all_{};
    bool has_others_ = false;
};

/// Messages one after the other.
class Writer {
  public:
    /// A message runs until the next one. Lengths and padding are filled in here.
    void begin(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence);

    template <typename T>
    void add(const T& header) {
        append(&header, sizeof header);
    }

    void add_bytes(Bytes bytes) { append(bytes.data(), bytes.size()); }

    void attribute(std::uint16_t type, Bytes payload);
    void text(std::uint16_t type, std::string_view text);

    template <typename T>
    void number(std::uint16_t type, T value) {
        attribute(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
    }

    /// Attributes until the matching close() are inside of this one.
    [[nodiscard]] std::size_t open(std::uint16_t type);
    void close(std::size_t opened);

    [[nodiscard]] std::vector<std::uint8_t> take() { return std::move(bytes_); }

  private:
    void append(const void* bytes, std::size_t count);

    std::vector<std::uint8_t> bytes_;
    std::size_t start_ = 0;  // of the present message
};

}  // namespace crema::ebpf::netlink
