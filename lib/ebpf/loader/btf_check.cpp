// SPDX-License-Identifier: BSD-3-Clause
//
// Source: BTF as described in the kernel's Documentation/bpf/btf.rst.
#include "lib/ebpf/loader/btf_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace crema::ebpf::loader {
namespace {

// Kinds, bits 28:24 of a type's second word.
constexpr std::uint8_t kInt = 1, kPtr = 2, kArray = 3, kStruct = 4, kUnion = 5, kEnum = 6,
                       kTypedef = 8, kVolatile = 9, kConst = 10, kRestrict = 11, kFunc = 12,
                       kFuncProto = 13, kVar = 14, kDatasec = 15, kDeclTag = 17, kTypeTag = 18,
                       kEnum64 = 19;
constexpr std::size_t kKinds = 20;  // 7 (forward) and 16 (float) are three words, no more

/// What follows a type's three words, and which of the words are type indices.
struct Shape {
    std::uint32_t fixed_words;   // once
    std::uint32_t member_words;  // per member (vlen)
    bool refers;                 // third word is a type
    std::uint32_t fixed_types;   // leading fixed words that are types
    std::int32_t member_type;    // word of a member that is a type, or -1
    bool member_named;           // first word of a member is a name
    bool contains;               // references are part of the type, not just pointed at
};

constexpr std::array<Shape, kKinds> kShapes = [] {
    std::array<Shape, kKinds> shapes{};
    for (Shape& shape : shapes) {
        shape = {0, 0, false, 0, -1, false, false};
    }
    for (const std::uint8_t kind : {kTypedef, kVolatile, kConst, kRestrict, kTypeTag}) {
        shapes[kind] = {0, 0, true, 0, -1, false, true};
    }
    shapes[kInt].fixed_words = 1;
    shapes[kPtr].refers = true;
    shapes[kArray] = {3, 0, false, 2, -1, false, true};
    shapes[kStruct] = {0, 3, false, 0, 1, true, true};
    shapes[kUnion] = shapes[kStruct];
    shapes[kEnum] = {0, 2, false, 0, -1, true, false};
    shapes[kEnum64] = {0, 3, false, 0, -1, true, false};
    shapes[kFunc].refers = true;
    shapes[kFuncProto] = {0, 2, true, 0, 1, true, false};
    shapes[kVar] = {1, 0, true, 0, -1, false, true};
    shapes[kDatasec] = {0, 3, false, 0, 0, false, true};
    shapes[kDeclTag] = {1, 0, true, 0, -1, false, false};
    return shapes;
}();

struct Type {
    std::uint8_t kind = 0;
    std::vector<std::uint32_t> types;  // all type indices in it
};

class Checker {
  public:
    explicit Checker(std::span<const std::uint8_t> section) : section_(section) {}

    const char* run() {
        if (const char* wrong = read_header(); wrong != nullptr) {
            return wrong;
        }
        types_.emplace_back();  // index 0 is void
        while (at_ < end_) {
            if (const char* wrong = read_type(); wrong != nullptr) {
                return wrong;
            }
        }
        for (const Type& type : types_) {
            if (const char* wrong = check_references(type); wrong != nullptr) {
                return wrong;
            }
        }
        return contains_itself() ? "a BTF type contains itself" : nullptr;
    }

  private:
    [[nodiscard]] std::uint32_t word(std::size_t at) const {
        std::uint32_t value = 0;
        std::memcpy(&value, section_.data() + at, sizeof(value));
        return value;
    }

    const char* read_header() {
        constexpr std::size_t kHeaderBytes = 24;
        constexpr std::uint32_t kMagicVersion1 = 0x0001eb9f;
        if (section_.size() < kHeaderBytes || word(0) != kMagicVersion1) {
            return "its BTF is not version 1 in native byte order";
        }
        const std::uint64_t header = word(4);
        const std::uint64_t types = header + word(8);
        const std::uint64_t strings = header + word(16);
        const std::uint64_t size = section_.size();
        if (header < kHeaderBytes || types + word(12) > size || strings + word(20) > size ||
            types % 4 != 0 || word(12) % 4 != 0) {
            return "its BTF reaches beyond the section";
        }
        at_ = types;
        end_ = types + word(12);
        strings_ = section_.subspan(strings, word(20));
        if (strings_.empty() || strings_.front() != 0 || strings_.back() != 0) {
            return "its BTF strings have no end";
        }
        return nullptr;
    }

    [[nodiscard]] bool is_name(std::uint32_t offset) const { return offset < strings_.size(); }

    const char* read_type() {
        constexpr std::size_t kCommonWords = 3;
        if (end_ - at_ < kCommonWords * 4) {
            return "a BTF type is cut off";
        }
        const std::uint32_t info = word(at_ + 4);
        Type type{.kind = static_cast<std::uint8_t>((info >> 24) & 0x1f), .types = {}};
        if (type.kind == 0 || type.kind >= kKinds) {
            return "a BTF type is of unknown kind";
        }
        const Shape& shape = kShapes[type.kind];
        const std::size_t members = info & 0xffff;
        const std::size_t words = kCommonWords + shape.fixed_words + shape.member_words * members;
        if (end_ - at_ < words * 4) {
            return "a BTF type is cut off";
        }
        bool named = is_name(word(at_));
        if (shape.refers) {
            type.types.push_back(word(at_ + 8));
        }
        std::size_t at = at_ + kCommonWords * 4;
        for (std::uint32_t i = 0; i < shape.fixed_types; ++i) {
            type.types.push_back(word(at + i * 4));
        }
        at += shape.fixed_words * 4;
        for (std::size_t i = 0; i < members && shape.member_words != 0; ++i) {
            named = named && (!shape.member_named || is_name(word(at)));
            if (shape.member_type >= 0) {
                type.types.push_back(word(at + static_cast<std::size_t>(shape.member_type) * 4));
            }
            at += shape.member_words * 4;
        }
        if (!named) {
            return "a BTF name lies outside of the strings";
        }
        at_ += words * 4;
        types_.push_back(std::move(type));
        return nullptr;
    }

    [[nodiscard]] const char* check_references(const Type& type) const {
        for (const std::uint32_t index : type.types) {
            if (index >= types_.size()) {
                return "a BTF type refers to one that does not exist";
            }
            const std::uint8_t kind = types_[index].kind;
            if (type.kind == kFunc && kind != kFuncProto) {
                return "a BTF function has no prototype";
            }
            if (type.kind == kDatasec && kind != kVar && kind != kFunc) {
                return "a BTF section holds something other than variables and functions";
            }
        }
        return nullptr;
    }

    /// Depth-first over the containing references, without recursion: the input decides the depth.
    [[nodiscard]] bool contains_itself() const {
        enum class Mark : std::uint8_t { unseen, open, done };

        struct Step {
            std::uint32_t type;
            std::size_t next;
        };

        std::vector<Mark> marks(types_.size(), Mark::unseen);
        std::vector<Step> path;
        for (std::uint32_t start = 0; start < types_.size(); ++start) {
            if (marks[start] == Mark::unseen) {
                path.push_back({start, 0});
            }
            while (!path.empty()) {
                Step& step = path.back();
                const Type& type = types_[step.type];
                marks[step.type] = Mark::open;
                if (!kShapes[type.kind].contains || step.next == type.types.size()) {
                    marks[step.type] = Mark::done;
                    path.pop_back();
                    continue;
                }
                const std::uint32_t inner = type.types[step.next++];
                if (marks[inner] == Mark::open) {
                    return true;
                }
                if (marks[inner] == Mark::unseen) {
                    path.push_back({inner, 0});
                }
            }
        }
        return false;
    }

    std::span<const std::uint8_t> section_;
    std::span<const std::uint8_t> strings_;
    std::size_t at_ = 0, end_ = 0;
    std::vector<Type> types_;
};

}  // namespace

const char* check_btf(std::span<const std::uint8_t> section) {
    return Checker(section).run();
}

}  // namespace crema::ebpf::loader
