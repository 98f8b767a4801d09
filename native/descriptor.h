// A file descriptor that is closed once. Neighbours: connection.h, link.h and listener.h have one each.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace engine {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = other.release();
    }
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  /** The caller closes it from now on. */
  int release() { return std::exchange(fd_, -1); }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

/** Whether `close` resets the connection at once (SO_LINGER with 0), and with it the end of the process does. */
inline void setResetOnClose(const Descriptor& socket, bool resets) {
  const linger value{resets ? 1 : 0, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

}  // namespace engine
