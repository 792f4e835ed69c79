// SPDX-License-Identifier: BSD-3-Clause
//
// One walk over the host's records: type numbers grow by the number of our types, string offsets by
// the length of our strings.
#include "lib/ebpf/kfuncs/host_types.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/kfuncs/kernel_btf.h"
#include "lib/ebpf/program/btf_layout.h"

namespace crema::ebpf::kfuncs {

namespace {

constexpr std::uint32_t kMagicAndVersion = 0x0001'eb9f;

struct Header {
    std::uint32_t magic;
    std::uint32_t header_bytes;
    std::uint32_t types_at;
    std::uint32_t type_bytes;
    std::uint32_t strings_at;
    std::uint32_t string_bytes;
};

static_assert(sizeof(Header) == 24);

/// The two sections of a blob.
struct Sections {
    std::span<const std::uint8_t> types;
    std::span<const std::uint8_t> strings;
};

Result<Sections> sections_of(std::span<const std::uint8_t> blob) {
    Header header{};
    if (blob.size() < sizeof(header)) {
        return fail(EINVAL, "kernel types of {} bytes", blob.size());
    }
    std::memcpy(&header, blob.data(), sizeof(header));
    const std::uint64_t types = std::uint64_t{header.header_bytes} + header.types_at;
    const std::uint64_t strings = std::uint64_t{header.header_bytes} + header.strings_at;
    if (header.magic != kMagicAndVersion || header.header_bytes < sizeof(header) ||
        types + header.type_bytes > blob.size() || strings + header.string_bytes > blob.size()) {
        return fail(EINVAL, "kernel types are not BTF of version 1");
    }
    return Sections{blob.subspan(types, header.type_bytes),
                    blob.subspan(strings, header.string_bytes)};
}

class Mover {
  public:
    Mover(std::vector<std::uint8_t>& types, std::uint32_t types_before, std::uint32_t text_before)
        : types_(types), types_before_(types_before), text_before_(text_before) {}

    /// Moves the record at `at`. Its bytes, or 0 when it does not fit.
    [[nodiscard]] std::size_t move(std::size_t at) {
        if (types_.size() - at < btf_layout::kHeadBytes) {
            return 0;
        }
        const BtfType type = btf_layout::head(word(at), word(at + 4), word(at + 8));
        const std::size_t words = btf_layout::extra_words(type);
        const std::size_t bytes = btf_layout::kHeadBytes + words * 4;
        if (types_.size() - at < bytes) {
            return 0;
        }
        if (type.kind == BtfKind::function) {
            put(at, 0);
        } else {
            move_text(at);
        }
        if (btf_layout::refers(type.kind)) {
            move_type(at + 8);
        }
        move_rest(at + btf_layout::kHeadBytes, words, type.kind);
        return bytes;
    }

  private:
    void move_rest(std::size_t at, std::size_t words, BtfKind kind) {
        switch (kind) {
            case BtfKind::array:
                move_type(at);
                move_type(at + 4);
                return;
            case BtfKind::structure:
            case BtfKind::union_of:
                each(at, words, 3, {true, true});
                return;
            case BtfKind::function_proto:
                each(at, words, 2, {true, true});
                return;
            case BtfKind::enumeration:
                each(at, words, 2, {true, false});
                return;
            case BtfKind::enumeration64:
                each(at, words, 3, {true, false});
                return;
            case BtfKind::data_section:
                for (std::size_t i = 0; i < words; i += 3) {
                    move_type(at + i * 4);
                }
                return;
            default:
                return;
        }
    }

    /// Entries of `step` words; which of {text, type} the first two words are.
    void each(std::size_t at, std::size_t words, std::size_t step, std::array<bool, 2> has) {
        for (std::size_t i = 0; i < words; i += step) {
            if (has[0]) {
                move_text(at + i * 4);
            }
            if (has[1]) {
                move_type(at + i * 4 + 4);
            }
        }
    }

    /// Offset 0, no name, is the same in both.
    void move_text(std::size_t at) {
        if (word(at) != 0) {
            put(at, word(at) + text_before_);
        }
    }

    /// Type 0, nothing, too.
    void move_type(std::size_t at) {
        if (word(at) != 0) {
            put(at, word(at) + types_before_);
        }
    }

    [[nodiscard]] std::uint32_t word(std::size_t at) const {
        std::uint32_t value = 0;
        std::memcpy(&value, types_.data() + at, sizeof(value));
        return value;
    }

    void put(std::size_t at, std::uint32_t value) {
        std::memcpy(types_.data() + at, &value, sizeof(value));
    }

    std::vector<std::uint8_t>& types_;
    std::uint32_t types_before_;
    std::uint32_t text_before_;
};

}  // namespace

Result<std::vector<std::uint8_t>> with_host_types(std::span<const std::uint8_t> host) {
    const auto behind = sections_of(host);
    if (!behind) {
        return forward_error(behind);
    }
    const std::shared_ptr<const Btf> ours = kernel_btf();
    const auto front = sections_of(ours->bytes());
    if (!front) {
        return forward_error(front);
    }
    std::vector<std::uint8_t> moved(behind->types.begin(), behind->types.end());
    Mover mover(moved, ours->count() - 1, static_cast<std::uint32_t>(front->strings.size()));
    for (std::size_t at = 0; at < moved.size();) {
        const std::size_t bytes = mover.move(at);
        if (bytes == 0) {
            return fail(EINVAL, "kernel types end inside of a record");
        }
        at += bytes;
    }
    const auto type_bytes = static_cast<std::uint32_t>(front->types.size() + moved.size());
    const auto string_bytes =
        static_cast<std::uint32_t>(front->strings.size() + behind->strings.size());
    const Header header{kMagicAndVersion, sizeof(Header), 0, type_bytes, type_bytes, string_bytes};
    std::vector<std::uint8_t> all(sizeof(header));
    std::memcpy(all.data(), &header, sizeof(header));
    all.insert(all.end(), front->types.begin(), front->types.end());
    all.insert(all.end(), moved.begin(), moved.end());
    all.insert(all.end(), front->strings.begin(), front->strings.end());
    all.insert(all.end(), behind->strings.begin(), behind->strings.end());
    return all;
}

}  // namespace crema::ebpf::kfuncs
