// What a slow client has not taken yet: copies of its bytes, freed as they leave. The channel's window bounds them.
// Neighbour: connection.h has one.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "bytes.h"

namespace engine {

class Backlog {
 public:
  bool isEmpty() const { return first_ == pieces_.size(); }

  void keep(ConstBytes bytes) {
    if (!isEmpty()) {
      Piece& last = pieces_.back();
      const ConstBytes fits = bytes.first(std::min(bytes.size(), last.room - last.size));
      append(last, fits);
      bytes = bytes.subspan(fits.size());
    }
    if (bytes.empty()) return;
    const size_t room = isEmpty() ? bytes.size() : std::max(bytes.size(), leastRoom);
    pieces_.push_back({std::make_unique_for_overwrite<uint8_t[]>(room), 0, room});
    append(pieces_.back(), bytes);
  }

  /** The first pieces, for one system call. Returns how many they are. */
  size_t show(std::span<iovec> into) const {
    size_t count = 0;
    for (size_t i = first_; i < pieces_.size() && count < into.size(); ++i, ++count) {
      const size_t skipped = i == first_ ? taken_ : 0;
      into[count] = {pieces_[i].bytes.get() + skipped, pieces_[i].size - skipped};
    }
    return count;
  }

  /** So many bytes of what was shown have left. */
  void drop(size_t bytes) {
    while (bytes > 0) {
      Piece& piece = pieces_[first_];
      const size_t rest = piece.size - taken_;
      if (bytes < rest) {
        taken_ += bytes;
        return;
      }
      bytes -= rest;
      taken_ = 0;
      piece.bytes.reset();
      ++first_;
    }
    if (isEmpty()) {
      clear();
    } else if (first_ >= mostGone && first_ > pieces_.size() / 2) {
      pieces_.erase(pieces_.begin(), pieces_.begin() + ptrdiff_t(first_));
      first_ = 0;
    }
  }

  void clear() {
    // Also gives back the memory of the list: most clients are slow once, if at all.
    pieces_ = std::vector<Piece>();
    first_ = 0;
    taken_ = 0;
  }

 private:
  /** A client may be slow for hours and never take all: the list must not remember what is gone. */
  static constexpr size_t mostGone = 64;

  /** From the second piece on: a far side may send single bytes, each of which would take fifty with a piece of its own. */
  static constexpr size_t leastRoom = 4096;

  struct Piece {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size;
    size_t room;
  };

  static void append(Piece& piece, ConstBytes bytes) {
    if (bytes.empty()) return;
    std::memcpy(piece.bytes.get() + piece.size, bytes.data(), bytes.size());
    piece.size += bytes.size();
  }

  std::vector<Piece> pieces_;
  /** The first piece that is not gone, and how much of it is. */
  size_t first_ = 0;
  size_t taken_ = 0;
};

}  // namespace engine
