// SPDX-License-Identifier: BSD-3-Clause
//
// Writes BTF blobs type by type. Checks nothing (Btf::parse does): tests write wrong ones, too.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "lib/ebpf/program/btf.h"

namespace crema::ebpf {

class BtfWriter {
  public:
    struct Member {
        std::string name;
        std::uint32_t type;
        std::uint32_t bit_offset;
    };

    struct Param {
        std::string name;
        std::uint32_t type;
    };

    /// Encodings of integers.
    static constexpr std::uint32_t kSigned = 1, kBool = 4;

    std::uint32_t integer(const std::string& name,
                          std::uint32_t bytes,
                          std::uint32_t encoding = 0) {
        head(name, BtfKind::integer, 0, bytes);
        word(encoding << 24 | bytes * 8);
        return ids_;
    }

    std::uint32_t reference(BtfKind kind, const std::string& name, std::uint32_t to) {
        return head(name, kind, 0, to);
    }

    std::uint32_t array(std::uint32_t element, std::uint32_t index, std::uint32_t count) {
        head("", BtfKind::array, 0, 0);
        word(element);
        word(index);
        word(count);
        return ids_;
    }

    std::uint32_t structure(const std::string& name,
                            std::uint32_t bytes,
                            const std::vector<Member>& members) {
        head(name, BtfKind::structure, members.size(), bytes);
        for (const Member& member : members) {
            word(text(member.name));
            word(member.type);
            word(member.bit_offset);
        }
        return ids_;
    }

    /// Of 32 bits, with one value.
    std::uint32_t enumeration(const std::string& name,
                              const std::string& value_name,
                              std::uint32_t value) {
        head(name, BtfKind::enumeration, 1, sizeof(value));
        word(text(value_name));
        word(value);
        return ids_;
    }

    std::uint32_t proto(std::uint32_t result, const std::vector<Param>& params) {
        head("", BtfKind::function_proto, params.size(), result);
        for (const Param& param : params) {
            word(text(param.name));
            word(param.type);
        }
        return ids_;
    }

    std::uint32_t function(const std::string& name, std::uint32_t proto, std::uint32_t linkage) {
        return head(name, BtfKind::function, linkage, proto);
    }

    std::uint32_t variable(const std::string& name, std::uint32_t type, std::uint32_t linkage) {
        head(name, BtfKind::variable, 0, type);
        word(linkage);
        return ids_;
    }

    std::uint32_t section(const std::string& name,
                          std::uint32_t bytes,
                          const std::vector<BtfSectionVariable>& variables) {
        head(name, BtfKind::data_section, variables.size(), bytes);
        for (const BtfSectionVariable& variable : variables) {
            word(variable.type);
            word(variable.offset);
            word(variable.size);
        }
        return ids_;
    }

    std::uint32_t decl_tag(const std::string& name, std::uint32_t of, std::int32_t component) {
        head(name, BtfKind::decl_tag, 0, of);
        word(static_cast<std::uint32_t>(component));
        return ids_;
    }

    [[nodiscard]] std::vector<std::uint8_t> bytes() const {
        const auto type_bytes = static_cast<std::uint32_t>(words_.size() * sizeof(std::uint32_t));
        const auto string_bytes = static_cast<std::uint32_t>(strings_.size());
        const std::uint32_t header[] = {0x0001'eb9f, 24, 0, type_bytes, type_bytes, string_bytes};
        std::vector<std::uint8_t> all(sizeof(header) + type_bytes + string_bytes);
        std::memcpy(all.data(), header, sizeof(header));
        std::memcpy(all.data() + sizeof(header), words_.data(), type_bytes);
        std::memcpy(all.data() + sizeof(header) + type_bytes, strings_.data(), string_bytes);
        return all;
    }

  private:
    std::uint32_t head(const std::string& name,
                       BtfKind kind,
                       std::size_t vlen,
                       std::uint32_t size_or_type) {
        word(text(name));
        word(static_cast<std::uint32_t>(kind) << 24 | static_cast<std::uint32_t>(vlen));
        word(size_or_type);
        return ++ids_;
    }

    void word(std::uint32_t value) { words_.push_back(value); }

    std::uint32_t text(const std::string& name) {
        if (name.empty()) {
            return 0;
        }
        const auto at = static_cast<std::uint32_t>(strings_.size());
        strings_ += name;
        strings_ += '\0';
        return at;
    }

    std::vector<std::uint32_t> words_;
    std::string strings_ = std::string(1, '\0');
    std::uint32_t ids_ = 0;
};

}  // namespace crema::ebpf
