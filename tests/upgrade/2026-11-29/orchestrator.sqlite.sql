BEGIN TRANSACTION;
CREATE TABLE api_key (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	revoked BIGINT, 
	last_used BIGINT, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
INSERT INTO "api_key" VALUES('key_5fc2fbbadb95d9ad','reviewer','approver','tk_9Zas1yA','f38ac77e2f68fe0509baa55eab4ce9a2a80a2d1ad0ab716d13621c45b74cad80',1795176000000000,'installation',NULL,1795176000000000);
INSERT INTO "api_key" VALUES('key_d1d160c000e13c0e','shop','publisher','tk_7KWM8c5','25ac53849c0cb78bdc3077051aca828f4a1fc6c6a40491bb950eaad53e1cb2d9',1795176000000000,'admin',NULL,NULL);
CREATE TABLE attempt (
	attempt_id INTEGER NOT NULL, 
	message_id TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	owner TEXT NOT NULL, 
	claimed_at BIGINT NOT NULL, 
	opened BIGINT NOT NULL, 
	outcome TEXT NOT NULL, 
	detail TEXT, 
	closed_at BIGINT NOT NULL, 
	PRIMARY KEY (attempt_id)
);
INSERT INTO "attempt" VALUES(1,'msg_7ac4099852874b919eb5847b8e2349d6','rejected',1,'vm:1577:228452d1',1795266000000000,1795971643098517,'rejected','status 400',1795266000000000);
INSERT INTO "attempt" VALUES(2,'msg_a28cbcdada1b21236b36b004b2d819e3','retry',1,'vm:1577:228452d1',1795266000000000,1795971643211936,'retry','status 503',1795266000000000);
INSERT INTO "attempt" VALUES(3,'msg_dee98b2fcfe010e9a0569d4d61be4ce8','retry-maybe',1,'vm:1577:228452d1',1795266000000000,1795971643288894,'unknown','status 500',1795266000000000);
INSERT INTO "attempt" VALUES(4,'msg_26e1a313d320180c03fec7c103786fff','unknown',1,'vm:1577:228452d1',1795266000000000,1795971643403573,'unknown','status 500',1795266000000000);
INSERT INTO "attempt" VALUES(5,'msg_7aadb9216662c4696044c8273893d83c','handing-over',1,'vm:1577:228452d1',1795266000000000,1795971643959930,'retry','status 503',1795266000000000);
INSERT INTO "attempt" VALUES(6,'msg_40b7e4272d5e15a20fceb1da32f710cd','handing-over-maybe',1,'vm:1577:228452d1',1795266000000000,1795971644062378,'unknown','status 500',1795266000000000);
INSERT INTO "attempt" VALUES(7,'msg_db2bfc049775a03354e56d4ccf1ca527','pending',1,'vm:1577:228452d1',1795266000000000,1795971644318219,'retry','status 503',1795266000000000);
INSERT INTO "attempt" VALUES(8,'msg_8ebd0bc3dd88c47f37b74b7abf2e659a','pending-maybe',1,'vm:1577:228452d1',1795266000000000,1795971644411473,'unknown','status 500',1795266000000000);
INSERT INTO "attempt" VALUES(9,'msg_47051da08e6a98c6564ca86356d14e08','failed',1,'vm:1577:228452d1',1795266000000000,1795971644474760,'retry','status 503',1795266000000000);
INSERT INTO "attempt" VALUES(10,'msg_47051da08e6a98c6564ca86356d14e08','failed',2,'vm:1577:0312e85f',1795266002000000,1795971644897455,'retry','status 503',1795266002000000);
INSERT INTO "attempt" VALUES(11,'msg_47051da08e6a98c6564ca86356d14e08','failed',3,'vm:1577:0312e85f',1795266006000000,1795971645048091,'retry','status 503',1795266006000000);
INSERT INTO "attempt" VALUES(12,'msg_47051da08e6a98c6564ca86356d14e08','failed',4,'vm:1577:0312e85f',1795266014000000,1795971645191488,'retry','status 503',1795266014000000);
INSERT INTO "attempt" VALUES(13,'msg_47051da08e6a98c6564ca86356d14e08','failed',5,'vm:1577:0312e85f',1795266030000000,1795971645328415,'retry','status 503',1795266030000000);
INSERT INTO "attempt" VALUES(14,'msg_26e1a313d320180c03fec7c103786fff','unknown',2,'vm:1577:0312e85f',1795266060000000,1795971645454465,'rejected','status 400',1795266060000000);
INSERT INTO "attempt" VALUES(15,'msg_47051da08e6a98c6564ca86356d14e08','failed',6,'vm:1577:0312e85f',1795266062000000,1795971645579345,'retry','status 503',1795266062000000);
INSERT INTO "attempt" VALUES(16,'msg_47051da08e6a98c6564ca86356d14e08','failed',7,'vm:1577:0312e85f',1795266126000000,1795971645705367,'retry','status 503',1795266126000000);
INSERT INTO "attempt" VALUES(17,'msg_47051da08e6a98c6564ca86356d14e08','failed',8,'vm:1577:0312e85f',1795266254000000,1795971645830788,'retry','status 503',1795266254000000);
CREATE TABLE audit_cursor (
	id INTEGER NOT NULL, 
	seq BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "audit_cursor" VALUES(1,0);
CREATE TABLE campaign (
	"key" TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	newest INTEGER NOT NULL, 
	active_version INTEGER, 
	status TEXT, 
	updated BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "campaign" VALUES('parcel',5,2,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('receipt',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('referral-ask',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('product-news',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('odd-locales',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('old-locale-form',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('fallback-active',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('fallback-approved',3,1,NULL,NULL,1795176000000000);
INSERT INTO "campaign" VALUES('fallback-submitted',2,1,NULL,NULL,1795176000000000);
INSERT INTO "campaign" VALUES('fallback-draft',1,1,NULL,NULL,1795176000000000);
INSERT INTO "campaign" VALUES('fallback-paused',5,1,1,'paused',1795176000000000);
INSERT INTO "campaign" VALUES('odd-locales-draft',1,1,NULL,NULL,1795176000000000);
INSERT INTO "campaign" VALUES('misspelt',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('newline',3,1,NULL,NULL,1795176000000000);
INSERT INTO "campaign" VALUES('app-link',4,1,1,'active',1795176000000000);
INSERT INTO "campaign" VALUES('odd-audience',1,1,NULL,NULL,1795176000000000);
INSERT INTO "campaign" VALUES('stopped',5,1,1,'stopped',1795176000000000);
INSERT INTO "campaign" VALUES('shadowed',4,1,NULL,NULL,1795176000000000);
CREATE TABLE campaign_version (
	"key" TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	document TEXT NOT NULL, 
	editor TEXT NOT NULL, 
	submitted_by TEXT, 
	approved_by TEXT, 
	approved_at BIGINT, 
	note TEXT, 
	created BIGINT NOT NULL, 
	PRIMARY KEY ("key", version)
);
INSERT INTO "campaign_version" VALUES('parcel',1,'active','{"key": "parcel", "name": "Parcel", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.parcel.sent"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "Order {{ event.data.order }}"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('receipt',1,'active','{"key": "receipt", "name": "Receipt", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.paid"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "{{ event.data.total | round: 2 }} EUR"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('referral-ask',1,'active','{"key": "referral-ask", "name": "Referral ask", "owner": "growth", "class": "marketing", "intent": "ask_referral", "trigger": {"event": "shop.order.delivered"}, "channels": ["email"], "default_locale": "en", "content": {"email": {"en": {"subject": "A favour, {{ customer.traits.name | default: \"you\" }}", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}, "de-DE": {"subject": "Bitte", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}}, "topic": "referrals", "audience": "\"trees\" in customer.traits.interests || event.data.total > 10", "reentry": "every 90d"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('product-news',1,'active','{"key": "product-news", "name": "Product news", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.product.added"}, "channels": ["email"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}}, "topic": "news", "ttl": "30d"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('odd-locales',1,'active','{"key": "odd-locales", "name": "Odd locales", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.sale"}, "channels": ["email"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}, "de-12": {"subject": "Neu", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}}, "topic": "news"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('old-locale-form',1,'active','{"key": "old-locale-form", "name": "Old locale form", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.visit"}, "channels": ["email"], "default_locale": "en_GB", "content": {"email": {"en_GB": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}, "de_AT": {"subject": "Neu", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('fallback-active',1,'active','{"key": "fallback-active", "name": "Fallback active", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.alert"}, "channels": ["email", "sms"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}, "sms": {"en": {"text": "News {{ links.unsubscribe }}"}}}, "topic": "news", "strategy": "fallback", "fallback_after": "2h"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('fallback-approved',1,'approved','{"key": "fallback-approved", "name": "Fallback approved", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.alert"}, "channels": ["email", "sms"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}, "sms": {"en": {"text": "News {{ links.unsubscribe }}"}}}, "topic": "news", "strategy": "fallback", "fallback_after": "2h"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('fallback-submitted',1,'submitted','{"key": "fallback-submitted", "name": "Fallback submitted", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.alert"}, "channels": ["email", "sms"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}, "sms": {"en": {"text": "News {{ links.unsubscribe }}"}}}, "topic": "news", "strategy": "fallback", "fallback_after": "2h"}','admin','admin',NULL,NULL,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('fallback-draft',1,'draft','{"key": "fallback-draft", "name": "Fallback draft", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.alert"}, "channels": ["email", "sms"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}, "sms": {"en": {"text": "News {{ links.unsubscribe }}"}}}, "topic": "news", "strategy": "fallback", "fallback_after": "2h"}','admin',NULL,NULL,NULL,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('fallback-paused',1,'paused','{"key": "fallback-paused", "name": "Fallback paused", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.seen"}, "channels": ["email", "sms"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}, "sms": {"en": {"text": "News {{ links.unsubscribe }}"}}}, "topic": "news", "strategy": "fallback", "fallback_after": "2h"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('odd-locales-draft',1,'draft','{"key": "odd-locales-draft", "name": "Odd locales draft", "owner": "growth", "class": "marketing", "intent": "advertise", "trigger": {"event": "shop.sale"}, "channels": ["email"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}, "de-12": {"subject": "Neu", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}}, "topic": "news"}','admin',NULL,NULL,NULL,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('misspelt',1,'active','{"key": "misspelt", "name": "Misspelt", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.counted"}, "channels": ["email"], "default_locale": "en", "content": {"email": {"en": {"subject": "News", "html": "<p>{{ customer.nam }} {{ campaign.nam }}</p>"}}}, "audience": "event.data.total > ''9''"}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('newline',1,'approved','{"key": "newline", "name": "Newline", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.seen"}, "channels": ["email"], "default_locale": "en", "content": {"email": {"en": {"subject": "Order\n{{ event.data.order }}", "html": "<p><a href=\"{{ links.unsubscribe }}\">Stop</a></p>"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('app-link',1,'active','{"key": "app-link", "name": "App link", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.seen"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "Look", "link": "myapp://{{ event.data.order }}"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('odd-audience',1,'draft','{"key": "odd-audience", "name": "Odd audience", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.seen"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "Look"}}}, "audience": "customer.traits.name"}','admin',NULL,NULL,NULL,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('stopped',1,'stopped','{"key": "stopped", "name": "Stopped", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.seen"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "Look"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('shadowed',1,'shadow','{"key": "shadowed", "name": "Shadowed", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.paid"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "Order"}}}}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "campaign_version" VALUES('parcel',2,'draft','{"key": "parcel", "name": "Parcel", "owner": "growth", "class": "service", "intent": "inform", "trigger": {"event": "shop.parcel.sent"}, "channels": ["push"], "default_locale": "en", "content": {"push": {"en": {"title": "Your order", "body": "Order {{ event.data.order }}"}}}, "priority": 60}','admin',NULL,NULL,NULL,NULL,1795176000000000);
CREATE TABLE catalogue_log (
	seq INTEGER NOT NULL, 
	noun TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	version INTEGER, 
	action TEXT NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	"by" TEXT NOT NULL, 
	reason TEXT, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "catalogue_log" VALUES(1,'key','key_5fc2fbbadb95d9ad',NULL,'create',NULL,'valid','installation',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(2,'policy','policy',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(3,'policy','policy',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(4,'policy','policy',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(5,'policy','policy',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(6,'policy','policy',2,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(7,'campaign','parcel',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(8,'campaign','parcel',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(9,'campaign','parcel',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(10,'campaign','parcel',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(11,'campaign','receipt',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(12,'campaign','receipt',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(13,'campaign','receipt',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(14,'campaign','receipt',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(15,'campaign','referral-ask',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(16,'campaign','referral-ask',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(17,'campaign','referral-ask',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(18,'campaign','referral-ask',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(19,'campaign','product-news',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(20,'campaign','product-news',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(21,'campaign','product-news',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(22,'campaign','product-news',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(23,'campaign','odd-locales',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(24,'campaign','odd-locales',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(25,'campaign','odd-locales',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(26,'campaign','odd-locales',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(27,'campaign','old-locale-form',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(28,'campaign','old-locale-form',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(29,'campaign','old-locale-form',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(30,'campaign','old-locale-form',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(31,'campaign','fallback-active',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(32,'campaign','fallback-active',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(33,'campaign','fallback-active',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(34,'campaign','fallback-active',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(35,'campaign','fallback-approved',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(36,'campaign','fallback-approved',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(37,'campaign','fallback-approved',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(38,'campaign','fallback-submitted',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(39,'campaign','fallback-submitted',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(40,'campaign','fallback-draft',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(41,'campaign','fallback-paused',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(42,'campaign','fallback-paused',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(43,'campaign','fallback-paused',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(44,'campaign','fallback-paused',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(45,'campaign','fallback-paused',1,'pause','active','paused','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(46,'campaign','odd-locales-draft',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(47,'campaign','misspelt',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(48,'campaign','misspelt',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(49,'campaign','misspelt',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(50,'campaign','misspelt',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(51,'campaign','newline',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(52,'campaign','newline',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(53,'campaign','newline',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(54,'campaign','app-link',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(55,'campaign','app-link',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(56,'campaign','app-link',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(57,'campaign','app-link',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(58,'campaign','odd-audience',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(59,'campaign','stopped',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(60,'campaign','stopped',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(61,'campaign','stopped',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(62,'campaign','stopped',1,'activate','approved','active','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(63,'campaign','stopped',1,'stop','active','stopped','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(64,'campaign','shadowed',1,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(65,'campaign','shadowed',1,'submit','draft','submitted','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(66,'campaign','shadowed',1,'approve','submitted','approved','reviewer',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(67,'campaign','shadowed',1,'shadow','approved','shadow','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(68,'campaign','parcel',2,'put',NULL,'draft','admin',NULL,1795176000000000);
INSERT INTO "catalogue_log" VALUES(69,'key','key_d1d160c000e13c0e',NULL,'create',NULL,'valid','admin',NULL,1795176000000000);
CREATE TABLE catalogue_state (
	id INTEGER NOT NULL, 
	version BIGINT NOT NULL, 
	policy_revision BIGINT NOT NULL, 
	active_policy INTEGER, 
	PRIMARY KEY (id)
);
INSERT INTO "catalogue_state" VALUES(1,15,5,1);
CREATE TABLE contact_history (
	seq INTEGER NOT NULL, 
	customer TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	since BIGINT NOT NULL, 
	channel TEXT NOT NULL, 
	cls TEXT NOT NULL, 
	intent TEXT, 
	topic TEXT, 
	campaign TEXT, 
	priority SMALLINT NOT NULL, 
	event BIGINT NOT NULL, 
	reported SMALLINT NOT NULL, 
	recorded BIGINT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "contact_history" VALUES(1,'ada','msg_cbeee6a71f93d365837a481eb9504281','made',1795176000000000,1795176000000000,'push','service','inform',NULL,'receipt',50,-4445576966507136241,0,1795176000000000);
INSERT INTO "contact_history" VALUES(2,'ada','msg_87c01c73bdd2e6a5bcdd743d4cd5d49a','made',1795176000000000,1795176000000000,'email','marketing','ask_referral','referrals','referral-ask',50,4457657987577504514,0,1795176000000000);
INSERT INTO "contact_history" VALUES(3,'kim','msg_e40600295040f1e410fbf54c5a83403a','made',1795176000000000,1795176000000000,'email','marketing','ask_referral','referrals','referral-ask',50,-5110458157653054232,0,1795176000000000);
INSERT INTO "contact_history" VALUES(4,'kim','msg_0f5a088bbb0b140fc7c452a8ea2ba7d5','planned',1795262400000000,1795176000000000,'email','marketing','advertise','news','odd-locales',50,-4690611769211710993,0,1795176000000000);
INSERT INTO "contact_history" VALUES(5,'odd-locale','msg_244f1a53521f8b682072aa8e2a2e0b28','made',1795176000000000,1795176000000000,'email','marketing','advertise','news','odd-locales',50,74801294173798610,0,1795176000000000);
INSERT INTO "contact_history" VALUES(6,'underscore','msg_b8265dbbc68da776ad5161503c967219','made',1795176000000000,1795176000000000,'email','service','inform',NULL,'old-locale-form',50,-5328532369036116147,0,1795176000000000);
INSERT INTO "contact_history" VALUES(7,'ada','msg_f6b6c415253a7a766ac8dccc7e240c34','planned',1795262400000000,1795176000000000,'email','marketing','advertise','news','fallback-active',50,-6870166523309900611,0,1795176000000000);
INSERT INTO "contact_history" VALUES(8,'ada','msg_edf4122a889c9a0f82235f08cde01f2a','made',1795176000000000,1795176000000000,'sms','marketing',NULL,'news','',0,-5055227470865744241,1,1795176000000000);
INSERT INTO "contact_history" VALUES(9,'kim','msg_0f5a088bbb0b140fc7c452a8ea2ba7d5','released',1795262400000000,1795176000000000,'email','marketing','advertise','news','odd-locales',50,-4690611769211710993,0,1795262400000000);
INSERT INTO "contact_history" VALUES(10,'ada','msg_f6b6c415253a7a766ac8dccc7e240c34','made',1795262400000000,1795176000000000,'email','marketing','advertise','news','fallback-active',50,-6870166523309900611,0,1795262400000000);
INSERT INTO "contact_history" VALUES(11,'ada','msg_ee4d65c3beddcc66a5ee14c880ed987b','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-4574312820972804099,0,1795266000000000);
INSERT INTO "contact_history" VALUES(12,'rejected','msg_7ac4099852874b919eb5847b8e2349d6','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-6011537866758727892,0,1795266000000000);
INSERT INTO "contact_history" VALUES(13,'rejected','msg_7ac4099852874b919eb5847b8e2349d6','released',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-6011537866758727892,0,1795266000000000);
INSERT INTO "contact_history" VALUES(14,'retry','msg_a28cbcdada1b21236b36b004b2d819e3','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7083981279940658549,0,1795266000000000);
INSERT INTO "contact_history" VALUES(15,'retry','msg_a28cbcdada1b21236b36b004b2d819e3','planned',1795269600000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7083981279940658549,0,1795266000000000);
INSERT INTO "contact_history" VALUES(16,'retry-maybe','msg_dee98b2fcfe010e9a0569d4d61be4ce8','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7061419786458918840,0,1795266000000000);
INSERT INTO "contact_history" VALUES(17,'retry-maybe','msg_dee98b2fcfe010e9a0569d4d61be4ce8','unknown',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7061419786458918840,0,1795266000000000);
INSERT INTO "contact_history" VALUES(18,'unknown','msg_26e1a313d320180c03fec7c103786fff','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-4974126390292364980,0,1795266000000000);
INSERT INTO "contact_history" VALUES(19,'unknown','msg_26e1a313d320180c03fec7c103786fff','unknown',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-4974126390292364980,0,1795266000000000);
INSERT INTO "contact_history" VALUES(20,'handing-over','msg_7aadb9216662c4696044c8273893d83c','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2997629359295558292,0,1795266000000000);
INSERT INTO "contact_history" VALUES(21,'handing-over','msg_7aadb9216662c4696044c8273893d83c','planned',1795266600000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2997629359295558292,0,1795266000000000);
INSERT INTO "contact_history" VALUES(22,'handing-over-maybe','msg_40b7e4272d5e15a20fceb1da32f710cd','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,6840835539489082693,0,1795266000000000);
INSERT INTO "contact_history" VALUES(23,'handing-over-maybe','msg_40b7e4272d5e15a20fceb1da32f710cd','unknown',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,6840835539489082693,0,1795266000000000);
INSERT INTO "contact_history" VALUES(24,'pending','msg_db2bfc049775a03354e56d4ccf1ca527','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7437941672674633499,0,1795266000000000);
INSERT INTO "contact_history" VALUES(25,'pending','msg_db2bfc049775a03354e56d4ccf1ca527','planned',1795269600000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7437941672674633499,0,1795266000000000);
INSERT INTO "contact_history" VALUES(26,'pending-maybe','msg_8ebd0bc3dd88c47f37b74b7abf2e659a','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7132718875292700152,0,1795266000000000);
INSERT INTO "contact_history" VALUES(27,'pending-maybe','msg_8ebd0bc3dd88c47f37b74b7abf2e659a','unknown',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,7132718875292700152,0,1795266000000000);
INSERT INTO "contact_history" VALUES(28,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266000000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266000000000);
INSERT INTO "contact_history" VALUES(29,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266002000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266000000000);
INSERT INTO "contact_history" VALUES(30,'lee','msg_2f67f3afafc911ce630e254e4891769a','made',1795266000000000,1795266000000000,'email','marketing','advertise','news','odd-locales',50,5125174769706493127,0,1795266000000000);
INSERT INTO "contact_history" VALUES(31,'lee','msg_e61e10b29c25b0451125fe05b2e4fb4a','planned',1795352400000000,1795266000000000,'email','marketing','advertise','news','odd-locales',50,-5508621809939079169,0,1795266000000000);
INSERT INTO "contact_history" VALUES(32,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266002000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266002000000);
INSERT INTO "contact_history" VALUES(33,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266006000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266002000000);
INSERT INTO "contact_history" VALUES(34,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266006000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266006000000);
INSERT INTO "contact_history" VALUES(35,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266014000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266006000000);
INSERT INTO "contact_history" VALUES(36,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266014000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266014000000);
INSERT INTO "contact_history" VALUES(37,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266030000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266014000000);
INSERT INTO "contact_history" VALUES(38,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266030000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266030000000);
INSERT INTO "contact_history" VALUES(39,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266062000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266030000000);
INSERT INTO "contact_history" VALUES(40,'unknown','msg_26e1a313d320180c03fec7c103786fff','made',1795266060000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-4974126390292364980,0,1795266060000000);
INSERT INTO "contact_history" VALUES(41,'unknown','msg_26e1a313d320180c03fec7c103786fff','unknown',1795266060000000,1795266000000000,'push','service','inform',NULL,'parcel',50,-4974126390292364980,0,1795266060000000);
INSERT INTO "contact_history" VALUES(42,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266062000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266062000000);
INSERT INTO "contact_history" VALUES(43,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266126000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266062000000);
INSERT INTO "contact_history" VALUES(44,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266126000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266126000000);
INSERT INTO "contact_history" VALUES(45,'failed','msg_47051da08e6a98c6564ca86356d14e08','planned',1795266254000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266126000000);
INSERT INTO "contact_history" VALUES(46,'failed','msg_47051da08e6a98c6564ca86356d14e08','made',1795266254000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266254000000);
INSERT INTO "contact_history" VALUES(47,'failed','msg_47051da08e6a98c6564ca86356d14e08','released',1795266254000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2507681169153925899,0,1795266254000000);
INSERT INTO "contact_history" VALUES(48,'handing-over','msg_7aadb9216662c4696044c8273893d83c','made',1795266600000000,1795266000000000,'push','service','inform',NULL,'parcel',50,2997629359295558292,0,1795266600000000);
INSERT INTO "contact_history" VALUES(49,'handing-over-maybe','msg_40b7e4272d5e15a20fceb1da32f710cd','made',1795266600000000,1795266000000000,'push','service','inform',NULL,'parcel',50,6840835539489082693,0,1795266600000000);
CREATE TABLE dead_letter (
	id INTEGER NOT NULL, 
	topic TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	"key" BLOB, 
	value BLOB, 
	headers BLOB NOT NULL, 
	stage TEXT NOT NULL, 
	error_class TEXT NOT NULL, 
	error_message TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	published BIGINT, 
	state TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "dead_letter" VALUES(1,'customer.events',0,9,1795000000000000,X'756E64657273636F7265',X'6E6F74206576656E204A534F4E',X'90','decide','InvalidEvent','not a CloudEvent in JSON: JSON is malformed: invalid character (byte 4)',1,1795266000000000,1795266000000000,'open');
INSERT INTO "dead_letter" VALUES(2,'customer.events',1,2,1795000000000000,X'6F6C642D7A6F6E65',X'7B227370656376657273696F6E223A22312E30222C226964223A22702D31222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E73616C65222C227375626A656374223A226F6C642D7A6F6E65222C2274696D65223A22796573746572646179227D',X'90','decide','InvalidEvent','not an RFC 3339 time with a zone, such as 2026-03-01T09:00:00Z',1,1795266000000000,1795266000000000,'open');
INSERT INTO "dead_letter" VALUES(3,'customer.events',2,0,1795000000000000,X'FFFE',X'7B',X'90','decide','InvalidEvent','not a CloudEvent in JSON: Input data was truncated',1,1795266000000000,1795266000000000,'open');
INSERT INTO "dead_letter" VALUES(4,'customer.events',3,0,1795000000000000,NULL,NULL,X'90','decide','InvalidEvent','the record has no value: an event needs a body or ce_* headers',1,1795266000000000,1795266000000000,'open');
INSERT INTO "dead_letter" VALUES(5,'customer.events',11,2,1795971642925166,X'6C6565',X'7B227370656376657273696F6E223A22312E30222C226964223A226261642D6368616E6E656C222C22736F75726365223A222F73686F70222C2274797065223A227461637466756C2E636F6E746163742E7265706F72746564222C227375626A656374223A226C6565222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226368616E6E656C223A2022706967656F6E227D7D',X'9192AC636F6E74656E742D74797065C41C6170706C69636174696F6E2F636C6F75646576656E74732B6A736F6E','decide','InvalidEvent','`class` is required and must be text',1,1795266000000000,1795266000000000,'open');
CREATE TABLE decision (
	decision_id INTEGER NOT NULL, 
	time BIGINT NOT NULL, 
	message_id TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	cls TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	event_source TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (decision_id)
);
INSERT INTO "decision" VALUES(1,1795176000000000,'msg_cbeee6a71f93d365837a481eb9504281','ada','receipt','push','service','send','eligible','/shop','paid-ada',X'DC0015CF000660B3FBCA1000D9246D73675F6362656565366137316639336433363538333761343831656239353034323831A361646194A52F73686F70A8706169642D616461A973686F702E70616964CF000660B3FBCA1000A772656365697074010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(2,1795176000000000,'msg_87c01c73bdd2e6a5bcdd743d4cd5d49a','ada','referral-ask','email','marketing','send','eligible','/shop','delivered-ada',X'DC0015CF000660B3FBCA1000D9246D73675F3837633031633733626464326536613562636464373433643463643564343961A361646194A52F73686F70AD64656C6976657265642D616461B473686F702E6F726465722E64656C697665726564CF000660B3FBCA1000AC726566657272616C2D61736B010101A5656D61696CA96D61726B6574696E67AC61736B5F726566657272616CA9726566657272616C7332A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279B66E6F2D61736B2D61667465722D636F6D706C61696E74A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(3,1795176000000000,'msg_d07e075778b1c003b11e8d865f75be9f','mia','referral-ask','email','marketing','suppress','suppression_list','/shop','delivered-mia',X'DC0015CF000660B3FBCA1000D9246D73675F6430376530373537373862316330303362313165386438363566373562653966A36D696194A52F73686F70AD64656C6976657265642D6D6961B473686F702E6F726465722E64656C697665726564CF000660B3FBCA1000AC726566657272616C2D61736B010101A5656D61696CA96D61726B6574696E67AC61736B5F726566657272616CA9726566657272616C7332A87375707072657373B07375707072657373696F6E5F6C697374C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A464656E79C0B07375707072657373696F6E5F6C69737482A7726561736F6E7391A56C6567616CA7656E74726965730296A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279B66E6F2D61736B2D61667465722D636F6D706C61696E74A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(4,1795176000000000,'msg_e40600295040f1e410fbf54c5a83403a','kim','referral-ask','email','marketing','send','eligible','/shop','delivered-kim',X'DC0015CF000660B3FBCA1000D9246D73675F6534303630303239353034306631653431306662663534633561383334303361A36B696D94A52F73686F70AD64656C6976657265642D6B696DB473686F702E6F726465722E64656C697665726564CF000660B3FBCA1000AC726566657272616C2D61736B010101A5656D61696CA96D61726B6574696E67AC61736B5F726566657272616CA9726566657272616C7332A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279B66E6F2D61736B2D61667465722D636F6D706C61696E74A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(5,1795176000000000,'msg_9eaf4f773db478a2e1c16278e60824f0','ada','product-news','email','marketing','defer','incident_hold','/shop','added-ada',X'DC0015CF000660B3FBCA1000D9246D73675F3965616634663737336462343738613265316331363237386536303832346630A361646194A52F73686F70A961646465642D616461B273686F702E70726F647563742E6164646564CF000660B3FBCA1000AC70726F647563742D6E657773010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A56465666572AD696E636964656E745F686F6C64AA696E636964656E742D31C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64AA696E636964656E742D31A56465666572C0AD696E636964656E745F686F6C6481A573696E6365B4323032362D31312D32305431323A30303A30305A96AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A56465666572CF000660C819A17000AA6361705F77696E646F7782A56C696D697401A7636F756E7465640196A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(6,1795176000000000,'msg_2366c7313671a717525c134402612613','bob','product-news','email','marketing','defer','incident_hold','/shop','added-bob',X'DC0015CF000660B3FBCA1000D9246D73675F3233363663373331333637316137313735323563313334343032363132363133A3626F6294A52F73686F70A961646465642D626F62B273686F702E70726F647563742E6164646564CF000660B3FBCA1000AC70726F647563742D6E657773010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A56465666572AD696E636964656E745F686F6C64AA696E636964656E742D31C0C0C0DC001196A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64AA696E636964656E742D31A56465666572C0AD696E636964656E745F686F6C6481A573696E6365B4323032362D31312D32305431323A30303A30305A96AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640096AD6672657175656E63795F636170AD637573746F6D65722D77697368A5616C6C6F77C0C082A56C696D697402A7636F756E7465640096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273B4637573746F6D65722D71756965742D686F757273A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(7,1795176000000000,'msg_0f5a088bbb0b140fc7c452a8ea2ba7d5','kim','odd-locales','email','marketing','defer','cap_window','/shop','sale-kim',X'DC0015CF000660B3FBCA1000D9246D73675F3066356130383862626230623134306663376334353261386561326261376435A36B696D94A52F73686F70A873616C652D6B696DA973686F702E73616C65CF000660B3FBCA1000AB6F64642D6C6F63616C6573010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A56465666572AA6361705F77696E646F77AF6D61726B6574696E672D612D646179CF000660C819A17000C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A56465666572CF000660C819A17000AA6361705F77696E646F7782A56C696D697401A7636F756E7465640196A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(8,1795176000000000,'msg_244f1a53521f8b682072aa8e2a2e0b28','odd-locale','odd-locales','email','marketing','send','eligible','/shop','sale-odd-locale',X'DC0015CF000660B3FBCA1000D9246D73675F3234346631613533353231663862363832303732616138653261326530623238AA6F64642D6C6F63616C6594A52F73686F70AF73616C652D6F64642D6C6F63616C65A973686F702E73616C65CF000660B3FBCA1000AB6F64642D6C6F63616C6573010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(9,1795176000000000,'msg_b8265dbbc68da776ad5161503c967219','underscore','old-locale-form','email','service','send','eligible','/shop','visit-underscore',X'DC0015CF000660B3FBCA1000D9246D73675F6238323635646262633638646137373661643531363135303363393637323139AA756E64657273636F726594A52F73686F70B076697369742D756E64657273636F7265AA73686F702E7669736974CF000660B3FBCA1000AF6F6C642D6C6F63616C652D666F726D010101A5656D61696CA773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(10,1795176000000000,'msg_805d2aa8795f8e399e235377c42aabcc','ada','misspelt','email','service','fail','policy_unavailable','/shop','counted-ada',X'DC0015CF000660B3FBCA1000D9246D73675F3830356432616138373935663865333939653233353337376334326161626363A361646194A52F73686F70AB636F756E7465642D616461AC73686F702E636F756E746564CF000660B3FBCA1000A86D69737370656C74010101A5656D61696CA773657276696365A6696E666F726DC032A46661696CB2706F6C6963795F756E617661696C61626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A46661696CC0B2706F6C6963795F756E617661696C61626C6581A56572726F72AE436F6E646974696F6E4572726F7296A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(11,1795176000000000,'msg_f6b6c415253a7a766ac8dccc7e240c34','ada','fallback-active','email','marketing','defer','cap_window','/shop','alert-ada',X'DC0015CF000660B3FBCA1000D9246D73675F6636623663343135323533613761373636616338646363633765323430633334A361646194A52F73686F70A9616C6572742D616461AA73686F702E616C657274CF000660B3FBCA1000AF66616C6C6261636B2D616374697665010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A56465666572AA6361705F77696E646F77AF6D61726B6574696E672D612D646179CF000660C819A17000C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A56465666572CF000660C819A17000AA6361705F77696E646F7782A56C696D697401A7636F756E7465640196A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(12,1795176000000000,'msg_a3dd8dda4a91aff903d3fbc70fb6ae19','ada','fallback-active','sms','marketing','suppress','suppression_list','/shop','alert-ada',X'DC0015CF000660B3FBCA1000D9246D73675F6133646438646461346139316166663930336433666263373066623661653139A361646194A52F73686F70A9616C6572742D616461AA73686F702E616C657274CF000660B3FBCA1000AF66616C6C6261636B2D616374697665010101A3736D73A96D61726B6574696E67A9616476657274697365A46E65777332A87375707072657373B07375707072657373696F6E5F6C697374C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A464656E79C0B07375707072657373696F6E5F6C69737482A7726561736F6E7391A56C6567616CA7656E74726965730196A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A56465666572CF000660C819A17000AA6361705F77696E646F7782A56C696D697401A7636F756E7465640196A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273A56E69676874A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(13,1795262400000000,'msg_0f5a088bbb0b140fc7c452a8ea2ba7d5','kim','odd-locales','email','marketing','suppress','opted_out_all','/shop','sale-kim',X'DC0015CF000660C819A17000D9246D73675F3066356130383862626230623134306663376334353261386561326261376435A36B696D94A52F73686F70A873616C652D6B696DA973686F702E73616C65CF000660B3FBCA1000AB6F64642D6C6F63616C6573010102A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A87375707072657373AD6F707465645F6F75745F616C6CC0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A464656E79C0AD6F707465645F6F75745F616C6C8096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640196A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(14,1795262400000000,'msg_f6b6c415253a7a766ac8dccc7e240c34','ada','fallback-active','email','marketing','send','eligible','/shop','alert-ada',X'DC0015CF000660C819A17000D9246D73675F6636623663343135323533613761373636616338646363633765323430633334A361646194A52F73686F70A9616C6572742D616461AA73686F702E616C657274CF000660B3FBCA1000AF66616C6C6261636B2D616374697665010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640296A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(15,1795262400000000,'msg_a3dd8dda4a91aff903d3fbc70fb6ae19','ada','fallback-active','sms','marketing','suppress','suppression_list','/shop','alert-ada',X'DC0015CF000660C819A17000D9246D73675F6133646438646461346139316166663930336433666263373066623661653139A361646194A52F73686F70A9616C6572742D616461AA73686F702E616C657274CF000660B3FBCA1000AF66616C6C6261636B2D616374697665010101A3736D73A96D61726B6574696E67A9616476657274697365A46E65777332A87375707072657373B07375707072657373696F6E5F6C697374C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A464656E79C0B07375707072657373696F6E5F6C69737482A7726561736F6E7391A56C6567616CA7656E74726965730196A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640296A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273A56E69676874A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(16,1795266000000000,'msg_ee4d65c3beddcc66a5ee14c880ed987b','ada','parcel','push','service','send','eligible','/shop','parcel-ada',X'DC0015CF000660C8F0351400D9246D73675F6565346436356333626564646363363661356565313463383830656439383762A361646194A52F73686F70AA70617263656C2D616461B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(17,1795266000000000,'msg_7ac4099852874b919eb5847b8e2349d6','rejected','parcel','push','service','send','eligible','/shop','parcel-rejected',X'DC0015CF000660C8F0351400D9246D73675F3761633430393938353238373462393139656235383437623865323334396436A872656A656374656494A52F73686F70AF70617263656C2D72656A6563746564B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(18,1795266000000000,'msg_7ac4099852874b919eb5847b8e2349d6','rejected','parcel','push','service','fail','provider_rejected','/shop','parcel-rejected',X'DC0015CF000660C8F0351400D9246D73675F3761633430393938353238373462393139656235383437623865323334396436A872656A656374656494A52F73686F70AF70617263656C2D72656A6563746564B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A46661696CB170726F76696465725F72656A6563746564C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(19,1795266000000000,'msg_a28cbcdada1b21236b36b004b2d819e3','retry','parcel','push','service','send','eligible','/shop','parcel-retry',X'DC0015CF000660C8F0351400D9246D73675F6132386362636461646131623231323336623336623030346232643831396533A5726574727994A52F73686F70AC70617263656C2D7265747279B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(20,1795266000000000,'msg_dee98b2fcfe010e9a0569d4d61be4ce8','retry-maybe','parcel','push','service','send','eligible','/shop','parcel-retry-maybe',X'DC0015CF000660C8F0351400D9246D73675F6465653938623266636665303130653961303536396434643631626534636538AB72657472792D6D6179626594A52F73686F70B270617263656C2D72657472792D6D61796265B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(21,1795266000000000,'msg_26e1a313d320180c03fec7c103786fff','unknown','parcel','push','service','send','eligible','/shop','parcel-unknown',X'DC0015CF000660C8F0351400D9246D73675F3236653161333133643332303138306330336665633763313033373836666666A7756E6B6E6F776E94A52F73686F70AE70617263656C2D756E6B6E6F776EB073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(22,1795266000000000,'msg_7aadb9216662c4696044c8273893d83c','handing-over','parcel','push','service','send','eligible','/shop','parcel-handing-over',X'DC0015CF000660C8F0351400D9246D73675F3761616462393231363636326334363936303434633832373338393364383363AC68616E64696E672D6F76657294A52F73686F70B370617263656C2D68616E64696E672D6F766572B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(23,1795266000000000,'msg_40b7e4272d5e15a20fceb1da32f710cd','handing-over-maybe','parcel','push','service','send','eligible','/shop','parcel-handing-over-maybe',X'DC0015CF000660C8F0351400D9246D73675F3430623765343237326435653135613230666365623164613332663731306364B268616E64696E672D6F7665722D6D6179626594A52F73686F70B970617263656C2D68616E64696E672D6F7665722D6D61796265B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(24,1795266000000000,'msg_db2bfc049775a03354e56d4ccf1ca527','pending','parcel','push','service','send','eligible','/shop','parcel-pending',X'DC0015CF000660C8F0351400D9246D73675F6462326266633034393737356130333335346535366434636366316361353237A770656E64696E6794A52F73686F70AE70617263656C2D70656E64696E67B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(25,1795266000000000,'msg_8ebd0bc3dd88c47f37b74b7abf2e659a','pending-maybe','parcel','push','service','send','eligible','/shop','parcel-pending-maybe',X'DC0015CF000660C8F0351400D9246D73675F3865626430626333646438386334376633376237346237616266326536353961AD70656E64696E672D6D6179626594A52F73686F70B470617263656C2D70656E64696E672D6D61796265B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(26,1795266000000000,'msg_47051da08e6a98c6564ca86356d14e08','failed','parcel','push','service','send','eligible','/shop','parcel-failed',X'DC0015CF000660C8F0351400D9246D73675F3437303531646130386536613938633635363463613836333536643134653038A66661696C656494A52F73686F70AD70617263656C2D6661696C6564B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(27,1795266000000000,'msg_2f67f3afafc911ce630e254e4891769a','lee','odd-locales','email','marketing','send','eligible','/shop','sale-lee-1',X'DC0015CF000660C8F0351400D9246D73675F3266363766336166616663393131636536333065323534653438393137363961A36C656594A52F73686F70AA73616C652D6C65652D31A973686F702E73616C65CF000660C8F0351400AB6F64642D6C6F63616C6573010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A5616C6C6F77C0C082A56C696D697401A7636F756E7465640096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(28,1795266000000000,'msg_e61e10b29c25b0451125fe05b2e4fb4a','lee','odd-locales','email','marketing','defer','cap_window','/shop','sale-lee-2',X'DC0015CF000660C8F0351400D9246D73675F6536316531306232396332356230343531313235666530356232653466623461A36C656594A52F73686F70AA73616C652D6C65652D32A973686F702E73616C65CF000660C8F0351400AB6F64642D6C6F63616C6573010101A5656D61696CA96D61726B6574696E67A9616476657274697365A46E65777332A56465666572AA6361705F77696E646F77AF6D61726B6574696E672D612D646179CF000660DD0E0C7400C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C081AA6772616E7465645F6174B4323032362D30332D30315431303A30303A30305A96A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170AF6D61726B6574696E672D612D646179A56465666572CF000660DD0E0C7400AA6361705F77696E646F7782A56C696D697401A7636F756E7465640196A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
INSERT INTO "decision" VALUES(29,1795266254000000,'msg_47051da08e6a98c6564ca86356d14e08','failed','parcel','push','service','fail','provider_exhausted','/shop','parcel-failed',X'DC0015CF000660C8FF58CF80D9246D73675F3437303531646130386536613938633635363463613836333536643134653038A66661696C656494A52F73686F70AD70617263656C2D6661696C6564B073686F702E70617263656C2E73656E74CF000660C8F0351400A670617263656C010101A470757368A773657276696365A6696E666F726DC032A46661696CB270726F76696465725F657868617573746564C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
CREATE TABLE dispatcher (
	owner TEXT NOT NULL, 
	expires BIGINT NOT NULL, 
	PRIMARY KEY (owner)
);
INSERT INTO "dispatcher" VALUES('vm:1577:0312e85f',1795971656816616);
CREATE TABLE hold_release (
	name TEXT NOT NULL, 
	next_at BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE idempotency (
	"key" TEXT NOT NULL, 
	principal TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	status INTEGER, 
	body BLOB, 
	at BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE inbox (
	customer TEXT NOT NULL, 
	source TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	type TEXT NOT NULL, 
	time BIGINT NOT NULL, 
	received BIGINT NOT NULL, 
	topic TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	log_offset BIGINT NOT NULL, 
	event BLOB NOT NULL, 
	PRIMARY KEY (customer, source, event_id)
);
INSERT INTO "inbox" VALUES('ada','/shop','paid-ada','shop.paid',1795176000000000,1795176000000000,'customer.events',0,0,X'7B227370656376657273696F6E223A22312E30222C226964223A22706169642D616461222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70616964222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B22746F74616C223A2032302E3132357D7D');
INSERT INTO "inbox" VALUES('ada','/shop','delivered-ada','shop.order.delivered',1795176000000000,1795176000000000,'customer.events',0,1,X'7B227370656376657273696F6E223A22312E30222C226964223A2264656C6976657265642D616461222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E6F726465722E64656C697665726564222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B22746F74616C223A2038307D7D');
INSERT INTO "inbox" VALUES('mia','/shop','delivered-mia','shop.order.delivered',1795176000000000,1795176000000000,'customer.events',1,0,X'7B227370656376657273696F6E223A22312E30222C226964223A2264656C6976657265642D6D6961222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E6F726465722E64656C697665726564222C227375626A656374223A226D6961222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B22746F74616C223A2038307D7D');
INSERT INTO "inbox" VALUES('kim','/shop','delivered-kim','shop.order.delivered',1795176000000000,1795176000000000,'customer.events',0,2,X'7B227370656376657273696F6E223A22312E30222C226964223A2264656C6976657265642D6B696D222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E6F726465722E64656C697665726564222C227375626A656374223A226B696D222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B22746F74616C223A2038307D7D');
INSERT INTO "inbox" VALUES('ada','/shop','added-ada','shop.product.added',1795176000000000,1795176000000000,'customer.events',0,3,X'7B227370656376657273696F6E223A22312E30222C226964223A2261646465642D616461222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70726F647563742E6164646564222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B2270726F64756374223A2022626173696C227D7D');
INSERT INTO "inbox" VALUES('bob','/shop','added-bob','shop.product.added',1795176000000000,1795176000000000,'customer.events',8,0,X'7B227370656376657273696F6E223A22312E30222C226964223A2261646465642D626F62222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70726F647563742E6164646564222C227375626A656374223A22626F62222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B2270726F64756374223A2022626173696C227D7D');
INSERT INTO "inbox" VALUES('kim','/shop','sale-kim','shop.sale',1795176000000000,1795176000000000,'customer.events',0,4,X'7B227370656376657273696F6E223A22312E30222C226964223A2273616C652D6B696D222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E73616C65222C227375626A656374223A226B696D222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B2270657263656E74223A2031307D7D');
INSERT INTO "inbox" VALUES('odd-locale','/shop','sale-odd-locale','shop.sale',1795176000000000,1795176000000000,'customer.events',5,0,X'7B227370656376657273696F6E223A22312E30222C226964223A2273616C652D6F64642D6C6F63616C65222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E73616C65222C227375626A656374223A226F64642D6C6F63616C65222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B2270657263656E74223A2031307D7D');
INSERT INTO "inbox" VALUES('underscore','/shop','visit-underscore','shop.visit',1795176000000000,1795176000000000,'customer.events',9,0,X'7B227370656376657273696F6E223A22312E30222C226964223A2276697369742D756E64657273636F7265222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E7669736974222C227375626A656374223A22756E64657273636F7265222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B226F72646572223A2022412D31227D7D');
INSERT INTO "inbox" VALUES('ada','/shop','counted-ada','shop.counted',1795176000000000,1795176000000000,'customer.events',0,5,X'7B227370656376657273696F6E223A22312E30222C226964223A22636F756E7465642D616461222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E636F756E746564222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B22746F74616C223A2031327D7D');
INSERT INTO "inbox" VALUES('ada','/shop','alert-ada','shop.alert',1795176000000000,1795176000000000,'customer.events',0,6,X'7B227370656376657273696F6E223A22312E30222C226964223A22616C6572742D616461222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E616C657274222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B7D7D');
INSERT INTO "inbox" VALUES('ada','/shop','contact-1','tactful.contact.reported',1795176000000000,1795176000000000,'customer.events',0,7,X'7B227370656376657273696F6E223A22312E30222C226964223A22636F6E746163742D31222C22736F75726365223A222F73686F70222C2274797065223A227461637466756C2E636F6E746163742E7265706F72746564222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32305431323A30303A30305A222C2264617461223A7B226368616E6E656C223A2022736D73222C2022636C617373223A20226D61726B6574696E67222C2022746F706963223A20226E657773227D7D');
INSERT INTO "inbox" VALUES('ada','/shop','parcel-ada','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',0,10,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D616461222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A22616461222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('rejected','/shop','parcel-rejected','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',5,1,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D72656A6563746564222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A2272656A6563746564222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('retry','/shop','parcel-retry','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',11,3,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D7265747279222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A227265747279222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('retry-maybe','/shop','parcel-retry-maybe','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',1,4,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D72657472792D6D61796265222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A2272657472792D6D61796265222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('unknown','/shop','parcel-unknown','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',7,1,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D756E6B6E6F776E222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A22756E6B6E6F776E222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('handing-over','/shop','parcel-handing-over','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',0,11,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D68616E64696E672D6F766572222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A2268616E64696E672D6F766572222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('handing-over-maybe','/shop','parcel-handing-over-maybe','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',8,4,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D68616E64696E672D6F7665722D6D61796265222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A2268616E64696E672D6F7665722D6D61796265222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('pending','/shop','parcel-pending','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',9,1,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D70656E64696E67222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A2270656E64696E67222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('pending-maybe','/shop','parcel-pending-maybe','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',0,12,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D70656E64696E672D6D61796265222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A2270656E64696E672D6D61796265222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('failed','/shop','parcel-failed','shop.parcel.sent',1795266000000000,1795266000000000,'customer.events',3,1,X'7B227370656376657273696F6E223A22312E30222C226964223A2270617263656C2D6661696C6564222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E70617263656C2E73656E74222C227375626A656374223A226661696C6564222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B226F72646572223A2022412D31222C2022746F74616C223A2038342E357D7D');
INSERT INTO "inbox" VALUES('lee','/shop','sale-lee-1','shop.sale',1795266000000000,1795266000000000,'customer.events',11,4,X'7B227370656376657273696F6E223A22312E30222C226964223A2273616C652D6C65652D31222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E73616C65222C227375626A656374223A226C6565222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B2270657263656E74223A2032307D7D');
INSERT INTO "inbox" VALUES('lee','/shop','sale-lee-2','shop.sale',1795266000000000,1795266000000000,'customer.events',11,5,X'7B227370656376657273696F6E223A22312E30222C226964223A2273616C652D6C65652D32222C22736F75726365223A222F73686F70222C2274797065223A2273686F702E73616C65222C227375626A656374223A226C6565222C2274696D65223A22323032362D31312D32315431333A30303A30305A222C2264617461223A7B2270657263656E74223A2032307D7D');
CREATE TABLE ledger (
	customer TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	complete_from BIGINT NOT NULL, 
	ring BLOB NOT NULL, 
	PRIMARY KEY (customer)
);
INSERT INTO "ledger" VALUES('ada',7,-9223372036854775808,X'020000000000000080B70000009595A772656365697074C0A470757368A773657276696365A6696E666F726D95AC726566657272616C2D61736BA9726566657272616C73A5656D61696CA96D61726B6574696E67AC61736B5F726566657272616C95AF66616C6C6261636B2D616374697665A46E657773A5656D61696CA96D61726B6574696E67A961647665727469736595A0A46E657773A3736D73A96D61726B6574696E67C095A670617263656CC0A470757368A773657276696365A6696E666F726D87C01C73BDD2E6A5BCDD743D4CD5D49A0263BD6F52C8DC3D0010CAFBB36006000010CAFBB360060001003201CBEEE6A71F93D365837A481EB95042810FFBAE794D234EC20010CAFBB36006000010CAFBB360060000003201EDF4122A889C9A0F82235F08CDE01F2A8F3E40246639D8B90010CAFBB36006000010CAFBB360060003000005F6B6C415253A7A766AC8DCCC7E240C34BD3C555EF243A8A00070A119C86006000010CAFBB360060002003201EE4D65C3BEDDCC66A5EE14C880ED987BFDA7669EB9C684C0001435F0C8600600001435F0C860060004003201');
INSERT INTO "ledger" VALUES('kim',3,-9223372036854775808,X'020000000000000080620000009295AC726566657272616C2D61736BA9726566657272616C73A5656D61696CA96D61726B6574696E67AC61736B5F726566657272616C95AB6F64642D6C6F63616C6573A46E657773A5656D61696CA96D61726B6574696E67A9616476657274697365E40600295040F1E410FBF54C5A83403AE8AC97C9610114B90010CAFBB36006000010CAFBB360060000003201');
INSERT INTO "ledger" VALUES('odd-locale',1,-9223372036854775808,X'0200000000000000802D0000009195AB6F64642D6C6F63616C6573A46E657773A5656D61696CA96D61726B6574696E67A9616476657274697365244F1A53521F8B682072AA8E2A2E0B28D200F87761BF09010010CAFBB36006000010CAFBB360060000003201');
INSERT INTO "ledger" VALUES('underscore',1,-9223372036854775808,X'020000000000000080280000009195AF6F6C642D6C6F63616C652D666F726DC0A5656D61696CA773657276696365A6696E666F726DB8265DBBC68DA776AD5161503C9672194D7F6EC90A400DB60010CAFBB36006000010CAFBB360060000003201');
INSERT INTO "ledger" VALUES('rejected',2,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726D');
INSERT INTO "ledger" VALUES('retry',2,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726DA28CBCDADA1B21236B36B004B2D819E37545610A715B4F6200B8C8C6C9600600001435F0C860060000003200');
INSERT INTO "ledger" VALUES('retry-maybe',2,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726DDEE98B2FCFE010E9A0569D4D61BE4CE8B86FCCFDE133FF61001435F0C8600600001435F0C860060000003202');
INSERT INTO "ledger" VALUES('unknown',4,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726D26E1A313D320180C03FEC7C103786FFF4C41BAEE665AF8BA009BC8F3C8600600001435F0C860060000003202');
INSERT INTO "ledger" VALUES('handing-over',3,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726D7AADB9216662C4696044C8273893D83C94F2172905B89929005AF813C9600600001435F0C860060000003201');
INSERT INTO "ledger" VALUES('handing-over-maybe',3,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726D40B7E4272D5E15A20FCEB1DA32F710CD454D1DCAAD87EF5E005AF813C9600600001435F0C860060000003201');
INSERT INTO "ledger" VALUES('pending',2,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726DDB2BFC049775A03354E56D4CCF1CA5271BA7D81B8BE0386700B8C8C6C9600600001435F0C860060000003200');
INSERT INTO "ledger" VALUES('pending-maybe',2,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726D8EBD0BC3DD88C47F37B74B7ABF2E659AF88D8BBC0682FC62001435F0C8600600001435F0C860060000003202');
INSERT INTO "ledger" VALUES('failed',16,-9223372036854775808,X'0200000000000000801E0000009195A670617263656CC0A470757368A773657276696365A6696E666F726D');
INSERT INTO "ledger" VALUES('lee',2,-9223372036854775808,X'0200000000000000802D0000009195AB6F64642D6C6F63616C6573A46E657773A5656D61696CA96D61726B6574696E67A96164766572746973652F67F3AFAFC911CE630E254E4891769AC76426784C472047001435F0C8600600001435F0C860060000003201E61E10B29C25B0451125FE05B2E4FB4AFF9F9C58A6718DB300740C0EDD600600001435F0C860060000003200');
CREATE TABLE message (
	message_id TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	policy_version INTEGER NOT NULL, 
	channel TEXT NOT NULL, 
	cls TEXT NOT NULL, 
	intent TEXT, 
	topic TEXT, 
	priority SMALLINT NOT NULL, 
	event_source TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	since BIGINT, 
	until BIGINT, 
	expires_at BIGINT NOT NULL, 
	attempts INTEGER NOT NULL, 
	owner TEXT, 
	claimed_at BIGINT, 
	opened BIGINT, 
	closed_at BIGINT, 
	address_hash TEXT, 
	to_address TEXT, 
	locale TEXT, 
	adapter TEXT, 
	provider_id TEXT, 
	detail TEXT, 
	maybe_sent SMALLINT DEFAULT '0' NOT NULL, 
	created BIGINT NOT NULL, 
	updated BIGINT NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "message" VALUES('msg_cbeee6a71f93d365837a481eb9504281','ada','receipt',1,1,'push','service','inform',NULL,50,'/shop','paid-ada','accepted',1795176000000000,NULL,1795780800000000,1,'vm:1403:521cb67b',1795176000000000,1795971633644644,1795176000000000,'38ed0b66cb8b8203971a80e8c25b45be75396a82ed8d71c998f88ef973eb95b8','ada:200','en','webhook',NULL,'status 200',0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_87c01c73bdd2e6a5bcdd743d4cd5d49a','ada','referral-ask',1,1,'email','marketing','ask_referral','referrals',50,'/shop','delivered-ada','accepted',1795176000000000,NULL,1795780800000000,1,'vm:1403:521cb67b',1795176000000000,1795971633796154,1795176000000000,'f1b6b81e8560c2bf339d068d40173e44db533a8914566b0aee0ff447a6081dac','Ada@example.org','en','sandbox','msg_87c01c73bdd2e6a5bcdd743d4cd5d49a',NULL,0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_e40600295040f1e410fbf54c5a83403a','kim','referral-ask',1,1,'email','marketing','ask_referral','referrals',50,'/shop','delivered-kim','accepted',1795176000000000,NULL,1795780800000000,1,'vm:1403:521cb67b',1795176000000000,1795971633919785,1795176000000000,'6bb3e086dff14dae4b1b06cba4401b6d2870a79b5b5e66d79812947e9b2959f1','kim@example.org','en','sandbox','msg_e40600295040f1e410fbf54c5a83403a',NULL,0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_9eaf4f773db478a2e1c16278e60824f0','ada','product-news',1,1,'email','marketing','advertise','news',50,'/shop','added-ada','parked',NULL,NULL,1797768000000000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_2366c7313671a717525c134402612613','bob','product-news',1,1,'email','marketing','advertise','news',50,'/shop','added-bob','parked',NULL,NULL,1797768000000000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_0f5a088bbb0b140fc7c452a8ea2ba7d5','kim','odd-locales',1,1,'email','marketing','advertise','news',50,'/shop','sale-kim','suppressed',1795176000000000,NULL,1795780800000000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'opted_out_all',0,1795176000000000,1795262400000000);
INSERT INTO "message" VALUES('msg_244f1a53521f8b682072aa8e2a2e0b28','odd-locale','odd-locales',1,1,'email','marketing','advertise','news',50,'/shop','sale-odd-locale','accepted',1795176000000000,NULL,1795780800000000,1,'vm:1403:521cb67b',1795176000000000,1795971634209501,1795176000000000,'3a35be890030914982155566733e0836a64333de2a5796dc8831e3ed1cbe6006','odd@example.org','de-12','sandbox','msg_244f1a53521f8b682072aa8e2a2e0b28',NULL,0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_b8265dbbc68da776ad5161503c967219','underscore','old-locale-form',1,1,'email','service','inform',NULL,50,'/shop','visit-underscore','accepted',1795176000000000,NULL,1795780800000000,1,'vm:1403:521cb67b',1795176000000000,1795971634283507,1795176000000000,'ad62cc1aaaa38abccfda93d8f127bf00f0d1679b6ac6096b591b4564be55f270','austria@example.org','de_AT','sandbox','msg_b8265dbbc68da776ad5161503c967219',NULL,0,1795176000000000,1795176000000000);
INSERT INTO "message" VALUES('msg_f6b6c415253a7a766ac8dccc7e240c34','ada','fallback-active',1,1,'email','marketing','advertise','news',50,'/shop','alert-ada','accepted',1795176000000000,NULL,1795780800000000,1,'vm:1403:e8daf38f',1795262400000000,1795971634973509,1795262400000000,'f1b6b81e8560c2bf339d068d40173e44db533a8914566b0aee0ff447a6081dac','Ada@example.org','en','sandbox','msg_f6b6c415253a7a766ac8dccc7e240c34',NULL,0,1795176000000000,1795262400000000);
INSERT INTO "message" VALUES('msg_ee4d65c3beddcc66a5ee14c880ed987b','ada','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-ada','accepted',1795266000000000,NULL,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971643037918,1795266000000000,'38ed0b66cb8b8203971a80e8c25b45be75396a82ed8d71c998f88ef973eb95b8','ada:200','en','webhook',NULL,'status 200',0,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_7ac4099852874b919eb5847b8e2349d6','rejected','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-rejected','rejected',1795266000000000,NULL,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971643098517,1795266000000000,'24b9cd9dc5a965522179dc72d4fb805f6e5b681821dd1113ea990e936627dc5b','rejected:400','en','webhook',NULL,'status 400',0,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_a28cbcdada1b21236b36b004b2d819e3','retry','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-retry','retry',1795266000000000,1795269600000000,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971643211936,1795266000000000,'75351c14c98f5f63c5ab50c0daecc1c14536056b15acafc25f98e3a7bd722e3b','retry:503/3600','en','webhook',NULL,'status 503',0,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_dee98b2fcfe010e9a0569d4d61be4ce8','retry-maybe','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-retry-maybe','retry',1795266000000000,1795269600000000,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971643288894,1795266000000000,'fb43ef30e549e06ddcddabf9e6c1029bc2e257e27c10ef7c6f38de053b7a0421','retry-maybe:500/3600','en','webhook',NULL,'an earlier attempt may have arrived',1,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_26e1a313d320180c03fec7c103786fff','unknown','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-unknown','unknown',1795266000000000,NULL,1795870800000000,2,'vm:1577:0312e85f',1795266060000000,1795971645454465,1795266060000000,'245d2ec095998d4e3f22597dd0eb2bda9374f54ed1ee465a4d82b4f88290970d','unknown:500/60,400','en','webhook',NULL,'status 400',0,1795266000000000,1795266060000000);
INSERT INTO "message" VALUES('msg_7aadb9216662c4696044c8273893d83c','handing-over','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-handing-over','handing_over',1795266000000000,NULL,1795870800000000,2,'vm:1577:0312e85f',1795266600000000,1795971645968289,NULL,'5ecc33cb8fe49dc3fb8458e854b0ce74f94a000712ed6b7cf992cbee557f7e55','handing-over:503/600,hang','en','webhook',NULL,'status 503',0,1795266000000000,1795266600000000);
INSERT INTO "message" VALUES('msg_40b7e4272d5e15a20fceb1da32f710cd','handing-over-maybe','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-handing-over-maybe','handing_over',1795266000000000,NULL,1795870800000000,2,'vm:1577:0312e85f',1795266600000000,1795971645968289,NULL,'f9e38034b538537522fb0d46e9108239e3a92e91868c7348612a686ea07dd585','handing-over-maybe:500/600,hang','en','webhook',NULL,'an earlier attempt may have arrived',1,1795266000000000,1795266600000000);
INSERT INTO "message" VALUES('msg_db2bfc049775a03354e56d4ccf1ca527','pending','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-pending','pending',1795266000000000,NULL,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971644318219,1795266000000000,'e3914663c2d8b99420e9c09cf039477626934fba55d23cbe283052c12956e7c7','pending:503/3600','en','webhook',NULL,'status 503',0,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_8ebd0bc3dd88c47f37b74b7abf2e659a','pending-maybe','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-pending-maybe','pending',1795266000000000,NULL,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971644411473,1795266000000000,'a0ff653fb97bdacfcf23998c27eab5d4a6adb1afce2de6c1611565da349862cd','pending-maybe:500/3600','en','webhook',NULL,'an earlier attempt may have arrived',1,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_47051da08e6a98c6564ca86356d14e08','failed','parcel',1,1,'push','service','inform',NULL,50,'/shop','parcel-failed','failed',1795266000000000,NULL,1795870800000000,8,'vm:1577:0312e85f',1795266254000000,1795971645830788,1795266254000000,'0f9e1098e202edae0b64e7b7e2a5cf86ccf70d174d9bc9472954349e109c9058','failed:503','en','webhook',NULL,'status 503',0,1795266000000000,1795266254000000);
INSERT INTO "message" VALUES('msg_2f67f3afafc911ce630e254e4891769a','lee','odd-locales',1,1,'email','marketing','advertise','news',50,'/shop','sale-lee-1','accepted',1795266000000000,NULL,1795870800000000,1,'vm:1577:228452d1',1795266000000000,1795971644555491,1795266000000000,'284ae6598620ae961d6af625f7981c6fef49bfbfe3ab56042cf67dca63a6a0b6','lee@example.org','en','sandbox','msg_2f67f3afafc911ce630e254e4891769a',NULL,0,1795266000000000,1795266000000000);
INSERT INTO "message" VALUES('msg_e61e10b29c25b0451125fe05b2e4fb4a','lee','odd-locales',1,1,'email','marketing','advertise','news',50,'/shop','sale-lee-2','planned',1795266000000000,1795352400000000,1795870800000000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795266000000000,1795266000000000);
CREATE TABLE message_content (
	message_id TEXT NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "message_content" VALUES('msg_cbeee6a71f93d365837a481eb9504281',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A2232302E313220455552227D');
INSERT INTO "message_content" VALUES('msg_87c01c73bdd2e6a5bcdd743d4cd5d49a',X'7B227375626A656374223A2241206661766F75722C20416461222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F4D374A714C725F31396C534F362D5A7742785A52595A4F6864614E685A474770636D566D5A584A795957787A5C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F4D374A714C725F31396C534F362D5A7742785A52595A4F6864614E685A474770636D566D5A584A795957787A29227D');
INSERT INTO "message_content" VALUES('msg_e40600295040f1e410fbf54c5a83403a',X'7B227375626A656374223A2241206661766F75722C20796F75222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F4F33714A74774D4A53737870386F55624D436749385A4F6864614E7261573270636D566D5A584A795957787A5C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F4F33714A74774D4A53737870386F55624D436749385A4F6864614E7261573270636D566D5A584A795957787A29227D');
INSERT INTO "message_content" VALUES('msg_244f1a53521f8b682072aa8e2a2e0b28',X'7B227375626A656374223A224E6575222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F624F5A4268494450397467694871564F4F574335655A4F68646170765A4751746247396A5957786C7047356C64334D5C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F624F5A4268494450397467694871564F4F574335655A4F68646170765A4751746247396A5957786C7047356C64334D29227D');
INSERT INTO "message_content" VALUES('msg_b8265dbbc68da776ad5161503c967219',X'7B227375626A656374223A224E6575222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F5662394A5A71524F36455F63513075666771773243354F6864617031626D526C636E4E6A62334A6C77415C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F5662394A5A71524F36455F63513075666771773243354F6864617031626D526C636E4E6A62334A6C774129227D');
INSERT INTO "message_content" VALUES('msg_f6b6c415253a7a766ac8dccc7e240c34',X'7B227375626A656374223A224E657773222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F51766B6653366854423732736D6359624673384C395A4F6864614E685A47476B626D563363775C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F51766B6653366854423732736D6359624673384C395A4F6864614E685A47476B626D5633637729227D');
INSERT INTO "message_content" VALUES('msg_ee4d65c3beddcc66a5ee14c880ed987b',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_7ac4099852874b919eb5847b8e2349d6',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_a28cbcdada1b21236b36b004b2d819e3',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_dee98b2fcfe010e9a0569d4d61be4ce8',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_26e1a313d320180c03fec7c103786fff',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_7aadb9216662c4696044c8273893d83c',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_40b7e4272d5e15a20fceb1da32f710cd',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_db2bfc049775a03354e56d4ccf1ca527',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_8ebd0bc3dd88c47f37b74b7abf2e659a',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_47051da08e6a98c6564ca86356d14e08',X'7B227469746C65223A22596F7572206F72646572222C22626F6479223A224F7264657220412D31227D');
INSERT INTO "message_content" VALUES('msg_2f67f3afafc911ce630e254e4891769a',X'7B227375626A656374223A224E657773222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F75334B49725A3768444B626B336E5346454F355778354F6864614E735A57576B626D563363775C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F75334B49725A3768444B626B336E5346454F355778354F6864614E735A57576B626D5633637729227D');
CREATE TABLE outbox (
	seq INTEGER NOT NULL, 
	shard SMALLINT NOT NULL, 
	channel TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "outbox" VALUES(1,0,'push','msg_db2bfc049775a03354e56d4ccf1ca527','pending');
INSERT INTO "outbox" VALUES(2,0,'push','msg_8ebd0bc3dd88c47f37b74b7abf2e659a','pending-maybe');
CREATE TABLE parked (
	message_id TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	name TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	PRIMARY KEY (message_id, cause, name)
);
INSERT INTO "parked" VALUES('msg_9eaf4f773db478a2e1c16278e60824f0','hold','incident-1','ada');
INSERT INTO "parked" VALUES('msg_2366c7313671a717525c134402612613','hold','incident-1','bob');
CREATE TABLE partition_lease (
	topic TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	next_offset BIGINT NOT NULL, 
	PRIMARY KEY (topic, partition)
);
INSERT INTO "partition_lease" VALUES('customer.events',0,2,13);
INSERT INTO "partition_lease" VALUES('customer.events',1,2,5);
INSERT INTO "partition_lease" VALUES('customer.events',2,2,1);
INSERT INTO "partition_lease" VALUES('customer.events',3,2,2);
INSERT INTO "partition_lease" VALUES('customer.events',4,2,1);
INSERT INTO "partition_lease" VALUES('customer.events',5,2,2);
INSERT INTO "partition_lease" VALUES('customer.events',6,2,0);
INSERT INTO "partition_lease" VALUES('customer.events',7,2,2);
INSERT INTO "partition_lease" VALUES('customer.events',8,2,5);
INSERT INTO "partition_lease" VALUES('customer.events',9,2,2);
INSERT INTO "partition_lease" VALUES('customer.events',10,2,0);
INSERT INTO "partition_lease" VALUES('customer.events',11,2,6);
CREATE TABLE policy_version (
	version INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	document TEXT NOT NULL, 
	editor TEXT NOT NULL, 
	submitted_by TEXT, 
	approved_by TEXT, 
	approved_at BIGINT, 
	note TEXT, 
	created BIGINT NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "policy_version" VALUES(1,'active','{"zone": "Europe/Berlin", "unknown_zones": ["Europe/Berlin"], "topics": [{"key": "news", "name": "News"}, {"key": "referrals", "name": "Referrals"}], "situations": [{"kind": "complaint", "opens": [{"event": "shop.complaint.filed"}], "closes": [{"event": "shop.complaint.resolved"}], "ref": "data.case", "lapses": "180d"}], "contact_history": [{"id": "no-ask-after-complaint", "scope": {"intents": ["ask_referral"]}, "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": true}, "on_match": "drop"}], "frequency_caps": [{"id": "marketing-a-day", "scope": {"classes": ["marketing"]}, "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}], "quiet_hours": [{"id": "night", "scope": {"channels": ["sms"]}, "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "21:00", "to": "08:00"}]}','admin','admin','reviewer',1795176000000000,NULL,1795176000000000);
INSERT INTO "policy_version" VALUES(2,'draft','{"zone": "Europe/Berlin", "unknown_zones": ["Europe/Berlin"], "topics": [{"key": "news", "name": "News"}, {"key": "referrals", "name": "Referrals"}], "situations": [{"kind": "complaint", "opens": [{"event": "shop.complaint.filed"}], "closes": [{"event": "shop.complaint.resolved"}], "ref": "data.case", "lapses": "180d"}], "contact_history": [{"id": "no-ask-after-complaint", "scope": {"intents": ["ask_referral"]}, "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": true}, "on_match": "drop"}], "frequency_caps": [{"id": "marketing-a-day", "scope": {"classes": ["marketing"]}, "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}], "quiet_hours": [{"id": "night", "scope": {"channels": ["sms"]}, "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "21:00", "to": "08:00"}], "week_start": "sunday"}','admin',NULL,NULL,NULL,NULL,1795176000000000);
CREATE TABLE sandbox_message (
	message_id TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	to_address TEXT NOT NULL, 
	content BLOB NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "sandbox_message" VALUES('msg_87c01c73bdd2e6a5bcdd743d4cd5d49a','ada','referral-ask','email','Ada@example.org',X'7B227375626A656374223A2241206661766F75722C20416461222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F4D374A714C725F31396C534F362D5A7742785A52595A4F6864614E685A474770636D566D5A584A795957787A5C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F4D374A714C725F31396C534F362D5A7742785A52595A4F6864614E685A474770636D566D5A584A795957787A29227D',1795176000000000);
INSERT INTO "sandbox_message" VALUES('msg_e40600295040f1e410fbf54c5a83403a','kim','referral-ask','email','kim@example.org',X'7B227375626A656374223A2241206661766F75722C20796F75222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F4F33714A74774D4A53737870386F55624D436749385A4F6864614E7261573270636D566D5A584A795957787A5C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F4F33714A74774D4A53737870386F55624D436749385A4F6864614E7261573270636D566D5A584A795957787A29227D',1795176000000000);
INSERT INTO "sandbox_message" VALUES('msg_244f1a53521f8b682072aa8e2a2e0b28','odd-locale','odd-locales','email','odd@example.org',X'7B227375626A656374223A224E6575222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F624F5A4268494450397467694871564F4F574335655A4F68646170765A4751746247396A5957786C7047356C64334D5C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F624F5A4268494450397467694871564F4F574335655A4F68646170765A4751746247396A5957786C7047356C64334D29227D',1795176000000000);
INSERT INTO "sandbox_message" VALUES('msg_b8265dbbc68da776ad5161503c967219','underscore','old-locale-form','email','austria@example.org',X'7B227375626A656374223A224E6575222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F5662394A5A71524F36455F63513075666771773243354F6864617031626D526C636E4E6A62334A6C77415C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F5662394A5A71524F36455F63513075666771773243354F6864617031626D526C636E4E6A62334A6C774129227D',1795176000000000);
INSERT INTO "sandbox_message" VALUES('msg_f6b6c415253a7a766ac8dccc7e240c34','ada','fallback-active','email','Ada@example.org',X'7B227375626A656374223A224E657773222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F51766B6653366854423732736D6359624673384C395A4F6864614E685A47476B626D563363775C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F51766B6653366854423732736D6359624673384C395A4F6864614E685A47476B626D5633637729227D',1795262400000000);
INSERT INTO "sandbox_message" VALUES('msg_2f67f3afafc911ce630e254e4891769a','lee','odd-locales','email','lee@example.org',X'7B227375626A656374223A224E657773222C2268746D6C223A223C703E3C6120687265663D5C22687474703A2F2F3132372E302E302E313A34323030332F752F75334B49725A3768444B626B336E5346454F355778354F6864614E735A57576B626D563363775C223E53746F703C2F613E3C2F703E222C2274657874223A2253746F702028687474703A2F2F3132372E302E302E313A34323030332F752F75334B49725A3768444B626B336E5346454F355778354F6864614E735A57576B626D5633637729227D',1795266000000000);
CREATE TABLE schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "schema_version" VALUES('0010');
CREATE TABLE session (
	digest TEXT NOT NULL, 
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	expires BIGINT NOT NULL, 
	key_digest TEXT, 
	PRIMARY KEY (digest)
);
CREATE TABLE shadow_count (
	noun TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	campaign TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	live TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	PRIMARY KEY (noun, "key", version, campaign, outcome, reason, live)
);
INSERT INTO "shadow_count" VALUES('campaign','shadowed',1,'shadowed','send','eligible','',1);
CREATE TABLE shadow_sample (
	sample_id INTEGER NOT NULL, 
	noun TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	agrees SMALLINT, 
	time BIGINT NOT NULL, 
	customer TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	live_outcome TEXT, 
	live_reason TEXT, 
	decision BLOB, 
	PRIMARY KEY (sample_id)
);
INSERT INTO "shadow_sample" VALUES(1,'campaign','shadowed',1,NULL,1795176000000000,'ada','shadowed','push','msg_caa6dfdc16cb1570c2ea9bef014980b4',NULL,NULL,X'DC0015CF000660B3FBCA1000D9246D73675F6361613664666463313663623135373063326561396265663031343938306234A361646194A52F73686F70A8706169642D616461A973686F702E70616964CF000660B3FBCA1000A8736861646F776564010101A470757368A773657276696365A6696E666F726DC032A473656E64A8656C696769626C65C0C0C0C0DC001096A863616D706169676EC0A5616C6C6F77C0C08096A861756469656E6365C0A5616C6C6F77C0C08096A77265656E747279C0A5616C6C6F77C0C08096A6657870697279C0A5616C6C6F77C0C08096A761646472657373C0A5616C6C6F77C0C08096AB7375707072657373696F6EC0A5616C6C6F77C0C08096A7636F6E73656E74C0A5616C6C6F77C0C08096A76F70745F6F7574C0A5616C6C6F77C0C08096AF636F6E746163745F686973746F7279C0A5616C6C6F77C0C08096A4686F6C64C0A5616C6C6F77C0C08096AD6672657175656E63795F636170C0A5616C6C6F77C0C08096A76D696E5F676170C0A5616C6C6F77C0C08096AB71756965745F686F757273C0A5616C6C6F77C0C08096AB6172626974726174696F6EC0A5616C6C6F77C0C08096A7686F6C646F7574C0A5616C6C6F77C0C08096A76368616E6E656CC0A5616C6C6F77C0C08090');
CREATE TABLE shard_lease (
	shard SMALLINT NOT NULL, 
	epoch BIGINT NOT NULL, 
	owner TEXT NOT NULL, 
	expires BIGINT NOT NULL, 
	PRIMARY KEY (shard)
);
INSERT INTO "shard_lease" VALUES(0,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(1,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(2,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(3,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(4,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(5,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(6,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(7,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(8,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(9,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(10,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(11,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(12,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(13,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(14,2,'vm:1577:0312e85f',1795971656816616);
INSERT INTO "shard_lease" VALUES(15,2,'vm:1577:0312e85f',1795971656816616);
CREATE TABLE sign_in_link (
	digest TEXT NOT NULL, 
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	expires BIGINT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "sign_in_link" VALUES('a2430003767f7de7db9e7f3b2d6ff72ddc0565d5bb498fcfee423230837c786b','admin','admin',1795266000000000,1795266900000000);
CREATE TABLE simulation (
	id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	requested_by TEXT NOT NULL, 
	asked BLOB NOT NULL, 
	request BLOB NOT NULL, 
	created BIGINT NOT NULL, 
	started BIGINT, 
	finished BIGINT, 
	seen BIGINT NOT NULL, 
	tries INTEGER NOT NULL, 
	progress INTEGER NOT NULL, 
	error TEXT, 
	notes BLOB, 
	result BLOB, 
	picture BLOB, 
	PRIMARY KEY (id)
);
CREATE TABLE timer (
	message_id TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	due BIGINT NOT NULL, 
	claimed_until BIGINT NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "timer" VALUES('msg_9eaf4f773db478a2e1c16278e60824f0','ada','incident_hold',1797768000000000,0);
INSERT INTO "timer" VALUES('msg_2366c7313671a717525c134402612613','bob','incident_hold',1797768000000000,0);
INSERT INTO "timer" VALUES('msg_a28cbcdada1b21236b36b004b2d819e3','retry','retry',1795269600000000,0);
INSERT INTO "timer" VALUES('msg_dee98b2fcfe010e9a0569d4d61be4ce8','retry-maybe','retry',1795269600000000,0);
INSERT INTO "timer" VALUES('msg_e61e10b29c25b0451125fe05b2e4fb4a','lee','cap_window',1795352400000000,0);
CREATE TABLE violation (
	seq INTEGER NOT NULL, 
	invariant TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	customer TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	policy_version INTEGER, 
	marked_at BIGINT NOT NULL, 
	found BIGINT NOT NULL, 
	PRIMARY KEY (seq)
);
CREATE INDEX dead_letter_unpublished ON dead_letter (id) WHERE published IS NULL;
CREATE INDEX idempotency_at ON idempotency (at);
CREATE INDEX inbox_event ON inbox (event_id);
CREATE INDEX contact_history_customer ON contact_history (customer, seq);
CREATE INDEX decision_customer ON decision (customer, decision_id);
CREATE INDEX decision_time ON decision (time, message_id);
CREATE INDEX message_customer ON message (customer, created);
CREATE INDEX outbox_order ON outbox (shard, channel, seq);
CREATE INDEX timer_due ON timer (due);
CREATE INDEX parked_customer ON parked (customer);
CREATE INDEX sandbox_message_customer ON sandbox_message (customer, at);
CREATE INDEX sandbox_message_time ON sandbox_message (at, message_id);
CREATE INDEX shadow_sample_of ON shadow_sample (noun, "key", version, sample_id);
CREATE INDEX parked_cause ON parked (cause, name);
CREATE INDEX simulation_created ON simulation (created, id);
CREATE UNIQUE INDEX violation_once ON violation (invariant, subject);
CREATE INDEX inbox_received ON inbox (received);
CREATE INDEX attempt_message ON attempt (message_id, number);
CREATE INDEX message_in_flight ON message (customer) WHERE state = 'handing_over';
COMMIT;
