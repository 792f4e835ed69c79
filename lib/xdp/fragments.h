// SPDX-License-Identifier: BSD-3-Clause
//
// Between a frame's pages and the list that helpers work on: made before a program runs, taken
// apart after it. Both only for frames that have fragments.
#pragma once

#include <cstdint>

#include "lib/ebpf/abi/fragments.h"
#include "lib/xdp/frame.h"

namespace crema::xdp {

/// Shows the fragments of `frame` to the program that runs next: fills `list`, which stays in place
/// until settle_fragments(). may_grow: as in the list.
void show_fragments(ebpf::XdpBuff& buff, const Frame& frame, ebpf::Fragments& list, bool may_grow);

/// Links the pages that are still on the list behind `page`, as long as they are now, and sends the
/// others home. Returns how many there are: Frame::fragments.
[[nodiscard]] std::uint16_t settle_fragments(const ebpf::Fragments& list, rte_mbuf* page);

}  // namespace crema::xdp
