import S3Client

/// A prefix's listing, page by page.
struct Listing: Sendable {
  struct Page: Sendable {
    var content: ListObjectsV2.Output
    /// Where the next page begins; nil for the last.
    var next: String?
  }

  let store: any ObjectStore
  let prefix: String

  /// - Parameter token: where the page begins; nil for the first.
  /// - Throws: `S3Error`, also for an answer that says there is more and not where: an early end would make files look
  ///   deleted.
  func page(at token: String?) async throws -> Page {
    try await page(ListObjectsV2(prefix: prefix, continuationToken: token))
  }

  /// The page that begins after a key; nil for the first.
  func page(after key: String?) async throws -> Page {
    try await page(ListObjectsV2(prefix: prefix, startAfter: key))
  }

  private func page(_ operation: ListObjectsV2) async throws -> Page {
    let content = try await store.send(operation)
    return Page(content: content, next: content.isTruncated ? content.nextContinuationToken : nil)
  }

  /// Hands out the pages, the next one being fetched while one is worked on.
  ///
  /// - Parameter body: false ends the listing.
  func forEachPage(_ body: (Page) async throws -> Bool) async throws {
    try await forEachPage(from: page(at: nil), body)
  }

  /// The same, where the first page is there already.
  func forEachPage(from first: Page, _ body: (Page) async throws -> Bool) async throws {
    var page = first
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
