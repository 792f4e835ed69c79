// SPDX-License-Identifier: BSD-3-Clause
//
// The table of kfuncs as BTF, made once. Every base type is there, whether a row uses it or not:
// programs declare externs by the same types.
#include "lib/ebpf/kfuncs/kernel_btf.h"

#include <string>
#include <vector>

#include "lib/base/check.h"
#include "lib/ebpf/kfuncs/kfuncs.h"
#include "lib/ebpf/program/btf_writer.h"

namespace crema::ebpf::kfuncs {

namespace {

class Writer {
  public:
    Writer() {
        bases_.resize(kBases);
        at(Base::boolean) = btf_.integer("_Bool", 1, BtfWriter::kBool);
        at(Base::i32) = btf_.integer("int", 4, BtfWriter::kSigned);
        at(Base::u8) = btf_.integer("unsigned char", 1);
        at(Base::u16) = btf_.integer("unsigned short", 2);
        at(Base::u32) = btf_.integer("unsigned int", 4);
        at(Base::u64) = btf_.integer("unsigned long long", 8);
        at(Base::rss_hash_type) = btf_.enumeration("xdp_rss_hash_type", "XDP_RSS_TYPE_NONE", 0);
        at(Base::xdp_md) = context();
        at(Base::dynptr) = opaque("bpf_dynptr", 2);
        at(Base::iter_num) = opaque("bpf_iter_num", 1);
        at(Base::iter_bits) = opaque("bpf_iter_bits", 2);
    }

    std::int32_t add(const Function& function) {
        std::vector<BtfWriter::Param> params;
        for (std::uint32_t i = 0; i < function.param_count(); ++i) {
            params.push_back({function.params[i].name, type(function.params[i].type)});
        }
        const std::uint32_t result = type(function.returns);
        const std::uint32_t proto = btf_.proto(result, params);
        const std::uint32_t id = btf_.function(function.name, proto, kBtfStatic);
        btf_.decl_tag("bpf_kfunc", id, -1);
        return static_cast<std::int32_t>(id);
    }

    [[nodiscard]] std::vector<std::uint8_t> bytes() const { return btf_.bytes(); }

  private:
    std::uint32_t& at(Base base) { return bases_[static_cast<std::size_t>(base)]; }

    /// struct xdp_md: six 32-bit fields.
    std::uint32_t context() {
        std::vector<BtfWriter::Member> members;
        for (const char* name : {"data", "data_end", "data_meta", "ingress_ifindex",
                                 "rx_queue_index", "egress_ifindex"}) {
            members.push_back(
                {name, at(Base::u32), static_cast<std::uint32_t>(members.size()) * 32});
        }
        return btf_.structure("xdp_md", size_of(Base::xdp_md), members);
    }

    /// A structure of `words` 64-bit words whose content is nobody's business.
    std::uint32_t opaque(const char* name, std::uint32_t words) {
        const std::uint32_t array = btf_.array(at(Base::u64), at(Base::u32), words);
        return btf_.structure(name, words * 8, {{"__opaque", array, 0}});
    }

    /// Each pointer type is written once.
    std::uint32_t type(const Type& wanted) {
        if (!wanted.is_pointer) {
            return at(wanted.base);
        }
        for (const auto& [known, id] : pointers_) {
            if (known == wanted) {
                return id;
            }
        }
        std::uint32_t to = at(wanted.base);
        if (wanted.is_const) {
            to = btf_.reference(BtfKind::is_const, "", to);
        }
        const std::uint32_t id = btf_.reference(BtfKind::pointer, "", to);
        pointers_.emplace_back(wanted, id);
        return id;
    }

    BtfWriter btf_;
    std::vector<std::uint32_t> bases_;
    std::vector<std::pair<Type, std::uint32_t>> pointers_;
};

struct Kernel {
    std::shared_ptr<const Btf> btf;
    std::vector<const Function*> by_id;
    std::vector<std::int32_t> ids;  // as in all()
};

Kernel make() {
    Kernel kernel;
    Writer writer;
    for (const Function& function : all()) {
        const std::int32_t id = writer.add(function);
        kernel.ids.push_back(id);
        kernel.by_id.resize(static_cast<std::size_t>(id) + 1);
        kernel.by_id.back() = &function;
    }
    auto btf = Btf::parse(writer.bytes());
    CREMA_CHECK(btf.has_value());  // ours, and the same in every run
    kernel.btf = std::move(*btf);
    return kernel;
}

const Kernel& kernel() {
    static const Kernel made = make();
    return made;
}

}  // namespace

std::shared_ptr<const Btf> kernel_btf() {
    return kernel().btf;
}

std::int32_t btf_id_of(const Function& function) {
    return kernel().ids[static_cast<std::size_t>(&function - all().data())];
}

const Function* find(std::int32_t btf_id) {
    const auto at = static_cast<std::size_t>(btf_id);
    return btf_id > 0 && at < kernel().by_id.size() ? kernel().by_id[at] : nullptr;
}

}  // namespace crema::ebpf::kfuncs
