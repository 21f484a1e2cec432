import CLinux
import Glibc
import Testing

/// How much is given back is in `Scripts/bench transfer`: the column of the peak.
@Suite struct StartPagesTests {
  /// A page of some function's code, and whether it is no longer its file's.
  private struct CodePage {
    let start: UInt
    let size = UInt(sysconf(Int32(_SC_PAGESIZE)))

    init() {
      let function: @convention(c) (Int32) -> Int32 = abs
      start = unsafeBitCast(function, to: UInt.self) / size * size
    }

    func hasOwnBytes() throws -> Bool {
      let pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
      try #require(pagemap >= 0)
      defer { close(pagemap) }
      return s3m_has_own_pages(pagemap, UInt64(start / size), UInt64(start / size + 1)) != 0
    }

    /// Writes a byte over itself, as a debugger or an interceptor writes another.
    func patch() throws {
      let page = try #require(UnsafeMutableRawPointer(bitPattern: start))
      try #require(mprotect(page, Int(size), PROT_READ | PROT_WRITE | PROT_EXEC) == 0)
      var byte = page.load(as: UInt8.self)
      memcpy(page, &byte, 1)
      try #require(mprotect(page, Int(size), PROT_READ | PROT_EXEC) == 0)
    }
  }

  @Test func `text that somebody has patched stays as it is`() throws {
    let page = CodePage()
    try #require(try !page.hasOwnBytes())
    s3m_release_text()
    #expect(try !page.hasOwnBytes())
    try page.patch()
    s3m_release_text()
    #expect(try page.hasOwnBytes())
  }
}
