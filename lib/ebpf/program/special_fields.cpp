// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/program/special_fields.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace crema::ebpf {

namespace {

constexpr std::uint32_t kNestingMax = 32;
constexpr std::size_t kFieldsMax = 11;  // BTF_FIELDS_MAX
constexpr std::uint32_t kPointerBytes = 8;
constexpr std::uint32_t kMembersMax = 1U << 20U;  // and arrays, looked at: hostile types nest wide

struct Known {
    std::string_view type;
    SpecialKind kind;
    std::uint32_t size;  // a structure of that name and another size is any other
    std::uint32_t align;
    bool once;  // a value has at most one
};

constexpr std::array kStructures = {
    Known{"bpf_spin_lock", SpecialKind::spin_lock, 4, 4, true},
    Known{"bpf_res_spin_lock", SpecialKind::res_spin_lock, 4, 4, true},
    Known{"bpf_timer", SpecialKind::timer, 16, 8, true},
    Known{"bpf_wq", SpecialKind::workqueue, 16, 8, true},
    Known{"bpf_task_work", SpecialKind::task_work, 8, 8, true},
    Known{"bpf_list_head", SpecialKind::list_head, 16, 8, false},
    Known{"bpf_rb_root", SpecialKind::rb_root, 16, 8, false},
    Known{"bpf_refcount", SpecialKind::refcount, 4, 4, true},
};

class Search {
  public:
    explicit Search(const Btf& btf) : btf_(btf) {}

    /// Looks at what lies at `offset`, of type `type`, `count` times.
    [[nodiscard]] Status visit(std::uint32_t type, std::uint32_t offset, std::uint32_t depth) {
        if (depth > kNestingMax) {
            return fail(E2BIG, "value type is nested more than {} deep", kNestingMax);
        }
        std::uint32_t bare = btf_.bare(type);
        std::uint64_t count = 1;
        while (const auto array = btf_.array(bare)) {
            count *= array->count;
            bare = btf_.bare(array->element);
            if (++members_ > kMembersMax) {
                return too_wide();
            }
            if (count > kFieldsMax * std::uint64_t{UINT32_MAX}) {
                return {};  // no such array fits a value
            }
        }
        const BtfType head = btf_.bare_type(bare);
        if (head.kind == BtfKind::pointer) {
            return is_kept(head.size_or_type)
                       ? add(SpecialKind::kptr, offset, kPointerBytes, kPointerBytes, false, count)
                       : Status{};
        }
        if (head.kind != BtfKind::structure || count == 0) {
            return {};
        }
        const std::string_view name = btf_.name_of(bare);
        const auto known = std::find_if(kStructures.begin(), kStructures.end(),
                                        [&](const Known& k) { return k.type == name; });
        if (known != kStructures.end()) {
            return head.size_or_type == known->size
                       ? add(known->kind, offset, known->size, known->align, known->once, count)
                       : Status{};
        }
        return visit_members(bare, offset, depth, count);
    }

    [[nodiscard]] std::vector<SpecialField> take() {
        std::sort(found_.begin(), found_.end(),
                  [](const SpecialField& a, const SpecialField& b) { return a.offset < b.offset; });
        return std::move(found_);
    }

  private:
    [[nodiscard]] static tl::unexpected<Error> too_wide() {
        return fail(E2BIG, "value type has more than {} members", kMembersMax);
    }

    /// A pointer's target with one of the tags by which a program says that a map keeps it.
    [[nodiscard]] bool is_kept(std::uint32_t target) const {
        const auto tag = btf_.type(target);
        const std::string_view text =
            tag && tag->kind == BtfKind::type_tag ? btf_.string_at(tag->name) : std::string_view();
        return text == "kptr" || text == "kptr_untrusted" || text == "percpu_kptr" ||
               text == "uptr";
    }

    [[nodiscard]] Status visit_members(std::uint32_t structure,
                                       std::uint32_t offset,
                                       std::uint32_t depth,
                                       std::uint64_t count) {
        const std::size_t before = found_.size();
        for (const BtfMember& member : btf_.members(structure)) {
            if (++members_ > kMembersMax) {
                return too_wide();
            }
            if (member.bit_size != 0 || member.bit_offset % 8 != 0) {
                continue;
            }
            if (auto ok = visit(member.type, offset + member.bit_offset / 8, depth + 1); !ok) {
                return ok;
            }
        }
        // The other elements of an array have the same ones.
        const std::size_t each = found_.size() - before;
        const std::uint32_t size = btf_.size_of(structure).value_or(0);
        for (std::uint64_t i = 1; each != 0 && i < count; ++i) {
            for (std::size_t n = 0; n < each; ++n) {
                if (found_.size() >= kFieldsMax) {
                    return fail(E2BIG, "value has more than {} special fields", kFieldsMax);
                }
                SpecialField field = found_[before + n];
                field.offset += static_cast<std::uint32_t>(i) * size;
                found_.push_back(field);
            }
        }
        return {};
    }

    [[nodiscard]] Status add(SpecialKind kind,
                             std::uint32_t offset,
                             std::uint32_t size,
                             std::uint32_t align,
                             bool once,
                             std::uint64_t count) {
        if (offset % align != 0) {
            return fail(EINVAL, "{} at offset {} is not aligned", name_of(kind), offset);
        }
        const bool second = std::any_of(found_.begin(), found_.end(),
                                        [&](const SpecialField& f) { return f.kind == kind; });
        if (once && (second || count > 1)) {
            return fail(E2BIG, "value has more than one {}", name_of(kind));
        }
        for (std::uint64_t i = 0; i < count; ++i) {
            if (found_.size() >= kFieldsMax) {
                return fail(E2BIG, "value has more than {} special fields", kFieldsMax);
            }
            found_.push_back({.kind = kind,
                              .offset = offset + static_cast<std::uint32_t>(i) * size,
                              .size = size});
        }
        return {};
    }

    const Btf& btf_;
    std::vector<SpecialField> found_;
    std::uint32_t members_ = 0;
};

}  // namespace

const char* name_of(SpecialKind kind) {
    if (kind == SpecialKind::kptr) {
        return "kptr";
    }
    const auto known = std::find_if(kStructures.begin(), kStructures.end(),
                                    [&](const Known& k) { return k.kind == kind; });
    return known != kStructures.end() ? known->type.data() : "?";
}

Result<std::vector<SpecialField>> special_fields(const Btf& btf, std::uint32_t type) {
    Search search(btf);
    const auto section = btf.section_variables(type);
    for (const BtfSectionVariable& variable : section) {
        if (auto ok = search.visit(btf.referenced(variable.type), variable.offset, 0); !ok) {
            return forward_error(ok);
        }
    }
    if (section.empty()) {
        if (auto ok = search.visit(type, 0, 0); !ok) {
            return forward_error(ok);
        }
    }
    auto fields = search.take();
    for (std::size_t i = 1; i < fields.size(); ++i) {
        if (fields[i].offset - fields[i - 1].offset < fields[i - 1].size) {
            return fail(EEXIST, "{} at offset {} lies in another field", name_of(fields[i].kind),
                        fields[i].offset);
        }
    }
    return fields;
}

}  // namespace crema::ebpf
