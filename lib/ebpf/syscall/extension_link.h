// SPDX-License-Identifier: BSD-3-Clause
//
// A link that keeps an extension in the place of a function: LINK_CREATE with target_btf_id, and
// RAW_TRACEPOINT_OPEN without a name.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/ebpf/syscall/extension.h"
#include "lib/ebpf/syscall/link.h"

namespace crema::ebpf::syscall {

class ExtensionLink final : public Link {
  public:
    /// Puts `extension` in the place of the function of `target`; target null: of the one that it
    /// was loaded for, which it may be once. EBUSY: the function is replaced, or the target is in
    /// an array of programs. EINVAL: the rules of find_replaced().
    [[nodiscard]] static Result<std::shared_ptr<Link>> attach(
        const std::shared_ptr<const LoadedProgram>& extension,
        std::shared_ptr<const LoadedProgram> target,
        std::uint32_t btf_type);

    /// Of an extension that attach() has put in its place for a caller who got the link: what it
    /// was loaded for is forgotten.
    static void settle(const LoadedProgram& extension);

    ExtensionLink(std::shared_ptr<const LoadedProgram> extension, ReplacedFunction where);
    ~ExtensionLink() override;
    ExtensionLink(const ExtensionLink&) = delete;
    ExtensionLink& operator=(const ExtensionLink&) = delete;

    [[nodiscard]] std::shared_ptr<const LoadedProgram> program() const override {
        return extension_;
    }

    [[nodiscard]] LinkPlace place() const override {
        return {.program_id = where_.program->id, .btf_type = where_.btf_type};
    }

  private:
    [[nodiscard]] Status put_in_place();
    void lead_to(const LoadedProgram* extension) const;

    std::shared_ptr<const LoadedProgram> extension_;
    ReplacedFunction where_;
    Start start_;
    bool in_place_ = false;
};

}  // namespace crema::ebpf::syscall
