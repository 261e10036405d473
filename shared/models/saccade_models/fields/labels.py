"""The words that invoices and receipts put before their values: English, German, French, Spanish, Italian."""

from __future__ import annotations

import re


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


#: The amount to pay, said clearly.
FINAL_TOTAL = _any(
    r"grand\s*total",
    r"total\s*\(?(?:rounded|due|payable|amount\s+due|to\s+pay|à\s+payer|ttc|inc|facture|for\s+this\s+invoice)",
    r"round\W{0,3}\w{0,3}\W{0,2}total",
    r"(?<!ex)clusive\s+of\s+(?:gst|tax|vat)",
    r"(?:amount|balance|total\s+amount)\s+(?:due|payable)",
    r"(?:net|somme|montant|reste)\s+à\s+payer",
    r"montant\s+(?:total\s+)?ttc",
    r"gesamtbetrag|rechnungsbetrag|zahlbetrag|endbetrag|endsumme|zu\s+zahlen|bruttobetrag",
    r"total\s+a\s+pagar|totale\s+(?:da\s+pagare|fattura|documento)|importe\s+total",
)
TOTAL = _any(r"\btota[l1]", r"\b(?:gesamt|summe)\b")
NOT_TOTAL = _any(
    r"sub\W?total|zwischensumme|sous\W?total|subtotale",
    r"total\s*(?:qty|quantity|@ty|items?|discount|gst|tax|vat|savings?|tva|ht\b|hors)",
    r"exclu|\bexcl|before\s+tax|\bpoints?\b|montant\s+total\s+à",
)
UNTAXED = _any(
    r"sub\W?total|zwischensumme|sous\W?total|subtotale|base\s+imponible|imponibile",
    r"\bnetto(?:betrag|summe)?\b|\bnet\s+(?:amount|total)\b|(?:amount|total)\s+(?:excl|exclud|before\s+tax|untaxed)",
    r"total\s+ht\b|hors\s+tax|excluding\s+(?:gst|vat|tax)",
)
#: What a column of amounts without tax is headed.
UNTAXED_COLUMN = _any(r"ohne\s+mwst|\bnetto\b|\bht\b|excl\W|without\s+(?:vat|tax)")
TAX = _any(
    r"\b(?:sales\s+)?tax\b|\bvat\b|\bgst\b|\bmwst\b|\bust\b|\btva\b|\biva\b|umsatzsteuer|mehrwertsteuer",
)
ROUNDING = _any(r"round|rundung|arrondi")
PAID = _any(r"\bcash\b|\btendered|\bpaid\b|\bbar\b|gegeben|espèces|\bcas?h\b")
CHANGE = _any(r"\bchange\b|rückgeld|monnaie|à\s+rendre|\bresto\b|\bcambio\b")

DATE_OF_INVOICE = _any(
    r"(?:invoice|bill|issue|receipt)\w*\s+date|date\s+(?:of\s+(?:issue|invoice)|de\s+(?:la\s+)?facture)",
    r"rechnungsdatum|belegdatum|facture\b.*\bdu|fecha\s+de\s+(?:la\s+)?factura|data\s+fattura",
)
DATE = _any(r"\bdate\b|\bdatum\b|\bfecha\b|\bdata\b|\bdated\b")
DATE_DUE = _any(
    r"\bdue\b|\bpay(?:able)?\s+by\b|fällig|zahlungsziel|zahlbar\s+bis|échéance|limite\s+de\s+paiement",
    r"prélèvement\s+à\s+partir|vencimiento|scadenza",
)
OTHER_DATE = _any(
    r"check\s?-?\s?(?:in|out)|period|deliver|liefer|livraison|zeitraum|leistung|expir|valid|birth|\bfrom\b|\bbis\b",
    r"prélèvement",
)

_NUMBER = r"\W{0,3}(?:no|nr|n°|nº|num(?:ber|mer|éro|ero)?|id|#)(?![a-z])[\s.:#]*"
#: Labels of the document's number, the surest first.
NUMBERS = tuple(
    re.compile(rf"\b(?:{words}){_NUMBER}", re.IGNORECASE)
    for words in (
        r"(?:tax\s+)?invoice|inv|rechnungs?|facture|factura|fattura",
        r"receipt|bill|beleg|quittungs?|bon|ticket",
        r"document|doc|booking|order|auftrags?|commande|reference|ref",
    )
)
NUMBER_VALUE = re.compile(r"(?=[A-Z0-9/_-]*\d)[A-Z0-9][A-Z0-9/_-]{2,}", re.IGNORECASE)

TAX_NUMBER = _any(
    r"ust\W{0,2}id\W{0,2}(?:nr)?|\bgst(?:in|\s+(?:id|reg\w*|no))|\bvat\s*(?:id|no|nr|reg\w*|number)",
    r"\btva\s+intra\s?\w*|n°\s*(?:de\s+)?tva|\bpartita\s+iva|\bp\.?\s?iva|\bnif\b|\bcif\b",
)
TAX_NUMBER_VALUE = re.compile(
    r"\b(?:\d{2}[A-Z]{5}\d{4}[A-Z]\w{3}|[A-Z]{2}\s?[A-Z0-9]{2}(?:\s?\d){5,11}[A-Z0-9]{0,3}|\d{9,15})\b"
)

#: Legal forms, and on receipts the usual last words of a shop's name.
LEGAL_FORM = (
    r"gmbh(?:\s*&\s*co\.?\s*kg)?|ag|kg|ohg|e\.?k\.?|ug|se|inc|llc|ltd|limited|plc|corp(?:oration)?|co|sas|sarl|s\.?a\.?|"
    r"eurl|s\.?r\.?l\.?|s\.?p\.?a\.?|s\.?l\.?|b\.?v\.?|n\.?v\.?|ab|a/s|oy|sdn\.?\s*bhd|bhd|pte|pvt\.?\s*ltd|private\s+limited"
)
COMPANY = re.compile(
    rf"\b(?P<name>[A-Z][\w&.'-]*(?:[ ,]+[A-Z&][\w&.'-]*){{0,5}}?),?\s+(?P<form>(?i:{LEGAL_FORM}))(?!\w)\.?"
)
SHOP = _any(
    rf"\b(?:{LEGAL_FORM})\b",
    r"\b(?:enterprise|trading|stores?|shop|mart|market|restaurant|caf[eé]|bakery|machinery|motors?|hardware|book|gift|"
    r"pharmacy|hotel|supermarket|kitchen|services?|industr\w+|company|bar|bistro|apotheke|bäckerei)\b",
)
CUSTOMER = _any(r"bill(?:ed)?\s+to|ship(?:ped)?\s+to|\battn\b|customer|guest|kunde|client\b|sold\s+to|abonné")
NOT_ADDRESS = _any(
    r"\btel\b|\bphone|\bfax\b|\bgst\b|invoice|receipt|cash|\bdate\b|\bdoc\b|document|e-?mail|@|www\.|\breg\b|\bbill\b|\bvat\b"
)
