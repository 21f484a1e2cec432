import Foundation
import SigV4
import Testing

@Suite struct ChunkSignerTests {
  private struct Vectors: Decodable {
    struct Request: Decodable {
      var method: String
      var host: String
      var path: String
      var headers: [String: String]
      var x_amz_content_sha256: String
      var seed_signature: String
    }
    struct Chunk: Decodable {
      var byte: String?
      var length: Int
      var signature: String
    }
    struct Trailers: Decodable {
      var signature: String
    }
    var access_key: String
    var secret_key: String
    var region: String
    var request: Request
    var chunks: [Chunk]
    var trailers: Trailers
  }

  @Test func `the example of S3's documentation is signed as printed there`() throws {
    let file = Bundle.module.bundleURL.appending(path: "Resources/sigv4-s3-chunked.json")
    let vectors = try JSONDecoder().decode(Vectors.self, from: Data(contentsOf: file))
    let credentials = AWSCredentials(accessKeyID: vectors.access_key, secretAccessKey: vectors.secret_key)
    let time = SigningTime(secondsSince1970: 1_369_353_600)
    let signer = RequestSigner(region: vectors.region)
    let request = SigningInput(
      method: vectors.request.method, host: vectors.request.host, path: vectors.request.path,
      headers: vectors.request.headers.map { ($0.key, $0.value) }, payload: .streaming)
    #expect(request.payload.text == vectors.request.x_amz_content_sha256)

    let seed = signer.signature(for: request, credentials: credentials, at: time)
    #expect(seed.text == vectors.request.seed_signature)

    var chunks = signer.chunkSigner(seed: seed, credentials: credentials, at: time)
    #expect(vectors.chunks.count == 3)
    for chunk in vectors.chunks {
      let byte = chunk.byte?.utf8.first ?? 0
      #expect(chunks.sign(chunk: [UInt8](repeating: byte, count: chunk.length)) == chunk.signature)
    }
    let trailer = [
      (name: "first", value: "1st"), (name: "second", value: "2nd"), (name: "third", value: "3rd"),
    ]
    #expect(chunks.sign(trailer: trailer) == vectors.trailers.signature)
  }
}
