import S3Client

/// A prefix's listing, page by page.
struct Listing: Sendable {
  struct Page: Sendable {
    var content: ListObjectsV2.Output
    /// The token of the next page; nil for the last page.
    var next: String?
  }

  let store: any ObjectStore
  let prefix: String

  /// - Parameter token: the token of the page; nil for the first.
  /// - Throws: `S3Error`, also for an answer that is truncated but has no token: ending early would make
  ///   files look deleted.
  func page(at token: String?) async throws -> Page {
    try await page(ListObjectsV2(prefix: prefix, continuationToken: token))
  }

  /// The page that begins after a key; nil for the first page.
  func page(after key: String?) async throws -> Page {
    try await page(ListObjectsV2(prefix: prefix, startAfter: key))
  }

  private func page(_ operation: ListObjectsV2) async throws -> Page {
    let content = try await store.send(operation)
    return Page(content: content, next: content.isTruncated ? content.nextContinuationToken : nil)
  }

  /// Passes the pages to `body`, and fetches the next page meanwhile.
  ///
  /// - Parameter body: returns false to end the listing.
  func forEachPage(_ body: (Page) async throws -> Bool) async throws {
    var page = try await page(at: nil)
    var trail = PageTrail()
    while let token = page.next {
      try trail.follow(token, of: store.bucket)
      async let following = self.page(at: token)
      guard try await body(page) else { return }
      page = try await following
    }
    _ = try await body(page)
  }
}
