// Mutant tried: the serial number with a zero in front, which one start in 256 ended on.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import forge from 'node-forge'
import { expect, test } from 'vitest'
import { issueCertificate, spkiDigest } from './certificate.ts'

test('a certificate is for the key and names of its request, and of a form that every TLS library reads', () => {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  const request = forge.pki.createCertificationRequest()
  request.publicKey = forge.pki.publicKeyFromPem(pair.publicKey)
  request.setSubject([{ name: 'commonName', value: 'gateway.test' }])
  request.sign(forge.pki.privateKeyFromPem(pair.privateKey), forge.md.sha256.create())
  const issued = issueCertificate(forge.pki.certificationRequestToPem(request), [
    'gateway.test',
    '127.0.0.1',
  ])
  expect(issued.spkiDigest).toBe(spkiDigest(pair.publicKey))
  const [leaf, issuer] = issued.chain.split(/(?=-----BEGIN)/).map((pem) => new X509Certificate(pem))
  expect(leaf!.verify(issuer!.publicKey)).toBe(true)
  expect(leaf!.subjectAltName).toBe('DNS:gateway.test, IP Address:127.0.0.1')
  // DER takes one zero in front of a number, and that only before a high bit.
  for (const { serialNumber } of [leaf!, issuer!]) expect(serialNumber).toMatch(/^01[0-9A-F]{30}$/)
})
